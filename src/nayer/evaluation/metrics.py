"""Metrics of student and teacher, on labelled test images or on images without labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch.nn.functional as F
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor

from nayer.core.errors import InputError

TOP_K = 5


# eq=False: tables compare element by element, which gives no single truth value.
@dataclass(frozen=True, eq=False)
class Comparison:
    """The content of `metrics.json`, and two tables.

    `metrics` is nested by model: `{"teacher": {"top1": ...}, "student": {...}, "agreement": ...}`; all are fractions
    but `nll` (nats) and `test_images` (a count). Without labels there are `agreement` and `synthetic_images` only.
    `per_class` has one row per class. `confusion` counts images, with one row per true class (without labels, per class
    that the teacher predicts) and one column per class that the student predicts.
    """

    metrics: dict[str, Any]
    per_class: pd.DataFrame
    confusion: pd.DataFrame


def compare(
    teacher_logits: Tensor,
    student_logits: Tensor,
    labels: Tensor,
    class_names: Sequence[str],
    calibration_bins: int,
) -> Comparison:
    """All figures of `metrics.json`; the same logits give the same figures, to the last digit.

    Logits are (N, classes), labels (N,). `retention` is the student's top-1 accuracy as a share of the teacher's;
    calibration is the expected calibration error over equal bins (Guo et al., arXiv 1706.04599).

    Raises:
        InputError: there are no images, shapes or labels do not fit the classes, or some logits are not finite.
    """
    models = {"teacher": teacher_logits, "student": student_logits}
    for name, logits in models.items():
        _check(name, logits, labels, len(class_names))
    metrics: dict[str, Any] = {name: single(logits, labels, calibration_bins) for name, logits in models.items()}
    teacher, student = teacher_logits.argmax(1), student_logits.argmax(1)
    metrics["agreement"] = share(teacher == student)
    top1 = metrics["teacher"]["top1"]
    metrics["retention"] = metrics["student"]["top1"] / top1 if top1 else 0.0
    metrics["test_images"] = len(labels)
    names = list(class_names)
    counts = confusion_matrix(labels.numpy(), student.numpy(), labels=range(len(names)))
    confusion = pd.DataFrame(counts, index=names, columns=names)
    return Comparison(metrics, by_class(teacher, student, labels, names), confusion)


def compare_unlabelled(
    teacher_logits: Tensor, student_logits: Tensor, labels: Tensor, class_names: Sequence[str]
) -> Comparison:
    """What can be measured without true labels: how often the student predicts what its teacher predicts.

    `labels` are the classes that the images were made for; the tables count by the teacher's prediction.

    Raises:
        InputError: as in `compare`.
    """
    for name, logits in (("teacher", teacher_logits), ("student", student_logits)):
        _check(name, logits, labels, len(class_names))
    teacher, student = teacher_logits.argmax(1), student_logits.argmax(1)
    names = list(class_names)
    counts = confusion_matrix(teacher.numpy(), student.numpy(), labels=range(len(names)))
    table = by_class(teacher, student, teacher, names).drop(columns=["teacher_accuracy", "student_accuracy"])
    metrics = {"agreement": share(teacher == student), "synthetic_images": len(labels)}
    return Comparison(metrics, table, pd.DataFrame(counts, index=names, columns=names))


def single(logits: Tensor, labels: Tensor, calibration_bins: int) -> dict[str, float]:
    """Metrics of one model; `top5` only if there are more than five classes."""
    classes = logits.shape[1]
    figures = {"top1": share(logits.argmax(1) == labels)}
    if classes > TOP_K:
        figures["top5"] = share((logits.topk(TOP_K).indices == labels[:, None]).any(1))
    # An exact sum, so that the last digit does not depend on how threads split the work.
    figures["nll"] = math.fsum(F.cross_entropy(logits.double(), labels, reduction="none").tolist()) / len(labels)
    confidence, predictions = logits.double().softmax(1).max(1)
    surplus = (confidence - (predictions == labels).double()).numpy()
    by_bin, _ = np.histogram(confidence.numpy(), calibration_bins, (0.0, 1.0), weights=surplus)
    figures["calibration_error"] = float(np.abs(by_bin).sum()) / len(labels)
    return figures


def by_class(teacher: Tensor, student: Tensor, labels: Tensor, class_names: Sequence[str]) -> pd.DataFrame:
    """Table with one row per class, from predicted classes (N,) and labels (N,).

    `agreement` is over the images of the class; `precision`, `recall` and `f1` are the student's. A share of nothing,
    such as the accuracy on a class without images, is 0.
    """
    classes = range(len(class_names))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels.numpy(), student.numpy(), labels=classes, zero_division=0
    )
    members = [labels == label for label in classes]
    return pd.DataFrame(
        {
            "class": list(class_names),
            "images": support,
            "teacher_accuracy": [share((teacher == labels)[of_class]) for of_class in members],
            "student_accuracy": [share((student == labels)[of_class]) for of_class in members],
            "precision": precision,
            "recall": recall,
            "f1": f1,
            "agreement": [share((teacher == student)[of_class]) for of_class in members],
        }
    )


def share(hits: Tensor) -> float:
    """Fraction of hits that are True; 0 if there are none."""
    return int(hits.sum()) / len(hits) if len(hits) else 0.0


def _check(name: str, logits: Tensor, labels: Tensor, classes: int) -> None:
    if not len(labels):
        raise InputError("data: there are no test images; the evaluation needs labelled ones.")
    if logits.shape != (len(labels), classes) or not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InputError(
            f"{name}: logits of shape {tuple(logits.shape)} and labels up to {int(labels.max())} do not fit "
            f"{len(labels)} test images of {classes} classes; evaluate on the data set the teacher was made for."
        )
    if not bool(logits.isfinite().all()):
        raise InputError(
            f"{name}: some logits are not finite, so its weights are spoilt; train it again, "
            "with a lower learning rate if training diverged."
        )
