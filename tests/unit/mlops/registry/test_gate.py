"""The gate: every threshold by itself, and the champion."""

import pytest

from nayer.mlops.registry.config import GateConfig
from nayer.mlops.registry.gate import checks

GATE = GateConfig(
    least_top1=0.9, least_agreement=0.8, largest_file_mib=1.0, longest_latency_ms=10.0, largest_regression=0.01
)
GOOD = {"student.top1": 0.95, "agreement": 0.9, "file_mib": 0.5, "latency_ms_batch_1": 5.0}


def missed(figures: dict[str, float], champion_top1: float | None = None, gate: GateConfig = GATE) -> list[str]:
    return [str(check) for check in checks(gate, figures, champion_top1) if not check.passed]


def test_good_figures_pass_and_so_does_what_equals_the_limits():
    assert missed(GOOD) == []
    assert missed({"student.top1": 0.9, "agreement": 0.8, "file_mib": 1.0, "latency_ms_batch_1": 10.0}) == []


@pytest.mark.parametrize(
    ("metric", "value", "key", "by"),
    [
        ("student.top1", 0.87, "promote.gate.least_top1", "0.03"),
        ("agreement", 0.7, "promote.gate.least_agreement", "0.1"),
        ("file_mib", 3.0, "promote.gate.largest_file_mib", "2"),
        ("latency_ms_batch_1", 15.5, "promote.gate.longest_latency_ms", "5.5"),
    ],
)
def test_a_miss_says_which_threshold_and_by_how_much(metric, value, key, by):
    (sentence,) = missed({**GOOD, metric: value})
    assert key in sentence
    assert sentence.endswith(f"missed by {by}")


def test_candidate_may_be_as_good_as_the_champion_or_worse_by_the_allowed_regression():
    assert missed(GOOD, champion_top1=0.95) == []
    assert missed(GOOD, champion_top1=0.9599) == []
    wide = GATE.model_copy(update={"least_top1": 0.0, "largest_regression": 0.1})
    assert missed({**GOOD, "student.top1": 0.7}, 0.8, wide) == [], "0.8 - 0.1 is above 0.7 to a computer"
    (sentence,) = missed(GOOD, champion_top1=0.97)
    assert "champion" in sentence
    assert sentence.endswith("missed by 0.01")
