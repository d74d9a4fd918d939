"""Figures of the evaluation against numbers worked out by hand."""

import json
import math

import pytest
import torch

from nayer.core.errors import InputError
from nayer.evaluation.metrics import compare, compare_unlabelled, single

NAMES = ("ant", "bee", "cat")
LABELS = torch.tensor([0, 0, 1, 1, 2])
# Teacher right on 4 of 5, student on 3 of 5; they agree on 4 of 5.
TEACHER = (0, 0, 1, 1, 0)
STUDENT = (0, 0, 1, 0, 0)


def logits_of(classes, count, height=2.0):
    """Logits that are `height` for the chosen class and 0 for the others."""
    return height * torch.nn.functional.one_hot(torch.tensor(classes), count).float()


@pytest.fixture
def comparison():
    return compare(logits_of(TEACHER, 3), logits_of(STUDENT, 3), LABELS, NAMES, 15)


def test_accuracy_agreement_and_retention(comparison):
    metrics = comparison.metrics
    assert metrics["teacher"]["top1"] == 4 / 5
    assert metrics["student"]["top1"] == 3 / 5
    assert metrics["agreement"] == 4 / 5
    assert metrics["retention"] == pytest.approx(3 / 4)
    assert metrics["test_images"] == 5


def test_likelihood_and_calibration(comparison):
    confidence = math.exp(2) / (math.exp(2) + 2)
    right, wrong = -math.log(confidence), -math.log((1 - confidence) / 2)
    assert comparison.metrics["student"]["nll"] == pytest.approx((3 * right + 2 * wrong) / 5)
    # All logits share one confidence, so one bin: the error is its distance to the accuracy.
    assert comparison.metrics["student"]["calibration_error"] == pytest.approx(abs(confidence - 3 / 5), abs=1e-6)
    assert comparison.metrics["teacher"]["calibration_error"] == pytest.approx(abs(confidence - 4 / 5), abs=1e-6)


def test_too_sure_in_one_bin_is_not_made_up_by_too_modest_in_another():
    sure, modest = (math.exp(scale) / (math.exp(scale) + 2) for scale in (2.0, 0.5))
    logits = torch.tensor([[2.0, 0, 0], [0.5, 0, 0]])
    wrong_then_right = torch.tensor([1, 0])
    apart, together = sure + (1 - modest), abs(sure - (1 - modest))
    assert single(logits, wrong_then_right, 15)["calibration_error"] == pytest.approx(apart / 2, abs=1e-6)
    assert single(logits, wrong_then_right, 1)["calibration_error"] == pytest.approx(together / 2, abs=1e-6)


def test_tables_by_class(comparison):
    table = comparison.per_class.set_index("class")
    assert list(table["images"]) == [2, 2, 1]
    assert list(table["teacher_accuracy"]) == [1, 1, 0]
    assert list(table["student_accuracy"]) == [1, 0.5, 0]
    assert list(table["precision"]) == [0.5, 1, 0]
    assert list(table["recall"]) == [1, 0.5, 0]
    assert list(table["f1"]) == pytest.approx([2 / 3, 2 / 3, 0])
    assert list(table["agreement"]) == [1, 0.5, 1]
    assert comparison.confusion.to_numpy().tolist() == [[2, 0, 0], [1, 1, 0], [1, 0, 0]]
    assert comparison.confusion.loc["bee", "ant"] == 1, "rows are the true classes"


@pytest.mark.parametrize("classes", [5, 6])
def test_top5_only_where_it_says_something(classes):
    labels = torch.zeros(2, dtype=torch.long)
    logits = torch.arange(float(classes)).repeat(2, 1)
    logits[1] = logits[1].flip(0)
    figures = compare(logits, logits, labels, [str(i) for i in range(classes)], 15).metrics["student"]
    # Of six classes, class 0 is the sixth answer of the first image and the first answer of the second.
    assert figures.get("top5") == (None if classes == 5 else 0.5)


def test_what_has_nothing_to_count_is_a_number_all_the_same():
    labels = torch.tensor([0, 0])
    result = compare(logits_of([1, 1], 3), logits_of([1, 0], 3), labels, NAMES, 15)
    assert result.metrics["retention"] == 0
    assert not result.per_class.isna().any().any()
    assert list(result.per_class["images"]) == [2, 0, 0]
    json.dumps(result.metrics, allow_nan=False)


def test_equal_logits_give_equal_figures_on_any_number_of_threads():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5000, 10, generator=generator) * 3
    labels = torch.randint(10, (5000,), generator=generator)
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(json.dumps(compare(logits, logits.flip(1), labels, list("abcdefghij"), 15).metrics))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (logits_of(TEACHER, 4), LABELS, "student: .* do not fit"),
        (logits_of(STUDENT, 3), LABELS + 1, "teacher: .* do not fit"),
        (logits_of(STUDENT, 3) * math.inf, LABELS, "student: .* not finite"),
        (logits_of(STUDENT, 3)[:0], LABELS[:0], "no test images"),
    ],
)
def test_what_cannot_be_compared_is_refused(logits, labels, message):
    with pytest.raises(InputError, match=message):
        compare(logits_of(TEACHER, 3)[: len(labels)], logits, labels, NAMES, 15)


def test_without_labels_only_agreement_is_claimed_and_tables_count_by_the_teachers_answer():
    teacher = torch.eye(3)[[0, 0, 1, 2]]
    student = torch.eye(3)[[0, 1, 1, 2]]
    found = compare_unlabelled(teacher, student, torch.tensor([2, 2, 2, 2]), ["ant", "bee", "cat"])
    assert found.metrics == {"agreement": 0.75, "synthetic_images": 4}
    assert found.per_class["agreement"].tolist() == [0.5, 1.0, 1.0]
    assert found.per_class["images"].tolist() == [2, 1, 1]
    assert not [column for column in found.per_class if "accuracy" in column]
    assert found.confusion.loc["ant"].tolist() == [1, 1, 0]
