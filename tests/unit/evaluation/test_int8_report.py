"""The page of an INT8 file shows both precisions, their difference, and whether the file passed the gate."""

import copy

import pytest

from nayer.core.formats import TIMES
from nayer.evaluation.int8_report import difference, render, rows

METRICS = {
    "fp32": {"agreement": 0.95, "top1": 0.91, "file_bytes": 400 * 1024},
    "int8": {"agreement": 0.945, "top1": 0.908, "file_bytes": 100 * 1024},
    "loss_points": 0.5,
    "largest_loss": 1.0,
    "images": 10000,
    "model": "student",
    "test_data": True,
    "calibration_images": 512,
}
COST = {
    "fp32": {"latency_ms_batch_1": 2.0, "latency_ms_batch_64": 90.0},
    "int8": {"latency_ms_batch_1": 1.0, "latency_ms_batch_64": 30.0},
    "machine": {"processor": "<some> CPU"},
}


def test_rows_are_both_figures_and_what_lies_between_them():
    found = dict(rows(METRICS, COST))
    assert [each.replace("\N{NO-BREAK SPACE}", " ") for each in found["Top-1 accuracy"]] == [
        "91.00 %",
        "90.80 %",
        "\N{MINUS SIGN}0.20 points",
    ]
    assert found["File, KiB"] == ["400", "100", f"4.0{TIMES} smaller"]
    assert found["Latency of 64 images, ms"] == ["90.0", "30.0", f"3.0{TIMES} as fast"]


@pytest.mark.parametrize(("largest", "word"), [(1.0, "passed"), (0.2, "not passed")])
def test_the_page_says_what_the_gate_did_and_escapes_what_comes_from_outside(largest, word):
    page = render({**METRICS, "largest_loss": largest}, COST, "mine")
    assert f"here: 0.50 points lost, {word}" in page
    assert f"Student in INT8, 4.0{TIMES} smaller, 0.50 points lost" in page
    assert "&lt;some&gt; CPU" in page
    assert "10,000 real test images" in page


def test_a_file_that_is_better_than_its_original_has_gained():
    assert [difference(loss) for loss in (0.125, 0.0, -0.12)] == [
        "0.12 points lost",
        "nothing lost",
        "0.12 points gained",
    ]
    page = render({**METRICS, "loss_points": -0.12}, COST, "mine")
    assert f"Student in INT8, 4.0{TIMES} smaller, 0.12 points gained" in page
    assert "here: 0.12 points gained, passed" in page


def test_without_test_data_there_is_no_accuracy():
    metrics = copy.deepcopy(METRICS) | {"test_data": False}
    del metrics["fp32"]["top1"]
    assert "Top-1 accuracy" not in dict(rows(metrics, COST))
    assert "there were no real test images" in render(metrics, COST, "mine")
