"""A made-up run: histories, images, tables and costs of any number of classes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from nayer.evaluation import figures
from nayer.evaluation.metrics import Comparison, compare
from nayer.synthesis.methods.nayer import Nayer

HOSTILE = "<script>alert(1)</script> & $x$"


def class_names(count: int) -> list[str]:
    return [HOSTILE, *(f"class {index}" for index in range(1, count))]


@pytest.fixture
def teacher_history() -> pd.DataFrame:
    epochs = np.arange(1, 4)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "loss": 1 / epochs,
            "train_accuracy": 1 - 0.5 / epochs,
            "validation_accuracy": 1 - 0.6 / epochs,
            "learning_rate": 0.1,
        }
    )


@pytest.fixture
def distill_history() -> pd.DataFrame:
    epochs = np.arange(1, 7)
    warmup = epochs <= 2
    return pd.DataFrame(
        {
            "epoch": epochs,
            "phase": np.where(warmup, "warm-up", "distillation"),
            "ce": 2.0 / epochs,
            "bn": 20.0 / epochs,
            "adversarial": np.where(warmup, 0, -0.5 / epochs),
            "synthesis_loss": 5.0,
            "kd_loss": np.where(warmup, np.nan, 3.0 / epochs),
            "agreement": np.where(warmup, np.nan, 1 - 0.9 / epochs),
            "memory_images": 100 * epochs,
            "learning_rate": 0.05,
        }
    )


@pytest.fixture
def comparison() -> Callable[[int], Comparison]:
    def build(classes: int) -> Comparison:
        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(classes - 1).repeat_interleave(6)  # the last class has no image
        logits = [torch.randn(len(labels), classes, generator=generator) for _ in range(2)]
        return compare(logits[0], logits[1], labels, class_names(classes), 15)

    return build


@pytest.fixture
def drawn(teacher_history, distill_history, comparison) -> Callable[[int], dict[str, Figure]]:
    """Draws the four figures of a run with a given number of classes."""

    def draw(classes: int) -> dict[str, Figure]:
        generator = torch.Generator().manual_seed(1)
        names, labels = class_names(classes), torch.arange(classes).repeat_interleave(9)
        images = torch.randint(0, 256, (len(labels), 3, 8, 8), dtype=torch.uint8, generator=generator)
        return {
            "training_curves": figures.training_curves(teacher_history, distill_history, Nayer.loss_names),
            "synthetic_images": figures.synthetic_images(images, labels, names),
            "embedding_similarity": figures.embedding_similarity(torch.randn(classes, 5, generator=generator), names),
            "confusion_matrix": figures.confusion(comparison(classes).confusion),
        }

    return draw


@pytest.fixture
def cost() -> dict[str, Any]:
    def model(name: str, scale: float) -> dict[str, Any]:
        return {
            "architecture": name,
            "parameters": int(1000 * scale),
            "macs": int(50_000 * scale),
            "file_bytes": int(4200 * scale),
            "latency_ms_batch_1": 0.5 * scale,
            "latency_ms_batch_64": 9.0 * scale,
        }

    teacher, student = model("resnet-34", 5), model("wrn-10-1", 1)
    return {
        "teacher": teacher,
        "student": student,
        "ratio": {key: teacher[key] / student[key] for key in teacher if key != "architecture"},
        "teacher_training": {},
        "distillation": {"seconds": 75.0, "seconds_by_phase": {"synthesis": 50.0}, "images_made": 25_600},
        "machine": {
            "processor": "A & B",
            "cores": 2,
            "threads": 2,
            "memory_gib": 3.5,
            "accelerator": None,
            "torch": "2.15",
        },
    }
