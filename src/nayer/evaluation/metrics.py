"""Student and teacher on labelled test images."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from nayer.images import to_float
from nayer.models.classifier import Classifier

TOP_K = 5


@dataclass(frozen=True)
class Comparison:
    """Figures as a nested mapping of fractions, and two tables: by class, and student class against true class."""

    metrics: dict[str, Any]
    per_class: pd.DataFrame
    confusion: pd.DataFrame


@torch.inference_mode()
def predict(classifier: Classifier, images: Tensor, batch_size: int, device: torch.device) -> Tensor:
    """Logits (N, classes) in fp32 on the CPU for uint8 images (N, C, H, W)."""
    classifier.eval().to(device)
    return torch.cat([classifier(to_float(batch.to(device))).float().cpu() for batch in images.split(batch_size)])


def compare(
    teacher_logits: Tensor, student_logits: Tensor, labels: Tensor, class_names: tuple[str, ...], bins: int
) -> Comparison:
    """All figures of `metrics.json`; the same logits give the same figures, to the last digit.

    `retention` is the student's top-1 accuracy as a share of the teacher's; calibration is the expected calibration
    error over `bins` equal bins (Guo et al., arXiv 1706.04599).
    """
    models = {"teacher": teacher_logits, "student": student_logits}
    metrics: dict[str, Any] = {name: single(logits, labels, bins) for name, logits in models.items()}
    teacher, student = teacher_logits.argmax(1), student_logits.argmax(1)
    metrics["agreement"] = share(teacher == student)
    top1 = metrics["teacher"]["top1"]
    metrics["retention"] = metrics["student"]["top1"] / top1 if top1 else 0.0
    metrics["test_images"] = len(labels)
    classes = list(range(len(class_names)))
    counts = confusion_matrix(labels, student, labels=classes)
    confusion = pd.DataFrame(counts, index=list(class_names), columns=list(class_names))
    return Comparison(metrics, by_class(teacher, student, labels, class_names), confusion)


def single(logits: Tensor, labels: Tensor, bins: int) -> dict[str, float]:
    """The figures of one model; `top5` only where there are more than five classes."""
    classes = logits.shape[1]
    figures = {"top1": share(logits.argmax(1) == labels)}
    if classes > TOP_K:
        figures["top5"] = share((logits.topk(TOP_K).indices == labels[:, None]).any(1))
    figures["nll"] = F.cross_entropy(logits.double(), labels).item()
    error = multiclass_calibration_error(logits.softmax(1), labels, classes, n_bins=bins, norm="l1")
    figures["calibration_error"] = error.item()
    return figures


def by_class(teacher: Tensor, student: Tensor, labels: Tensor, class_names: tuple[str, ...]) -> pd.DataFrame:
    """One row per class: images, accuracy of both models, agreement, and the student's precision and F1."""
    classes = list(range(len(class_names)))
    precision, recall, f1, support = precision_recall_fscore_support(labels, student, labels=classes, zero_division=0)
    members = [labels == label for label in classes]
    return pd.DataFrame(
        {
            "class": list(class_names),
            "images": support,
            "teacher_accuracy": [share((teacher == labels)[of_class]) for of_class in members],
            "student_accuracy": recall,
            "agreement": [share((teacher == student)[of_class]) for of_class in members],
            "student_precision": precision,
            "student_f1": f1,
        }
    )


def share(hits: Tensor) -> float:
    """The fraction of True; 0 of nothing."""
    return int(hits.sum()) / len(hits) if len(hits) else 0.0
