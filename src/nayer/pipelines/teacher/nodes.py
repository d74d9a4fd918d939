"""Adapters of `nayer.training.supervised`."""

from typing import Any

import pandas as pd
import torch

from nayer import datasets
from nayer.config import DataConfig, RuntimeConfig, TeacherConfig
from nayer.models.classifier import Classifier
from nayer.training.reporting import Reporter
from nayer.training.resume import ResumePoint
from nayer.training.supervised import train


def train_teacher(
    config: TeacherConfig, data: DataConfig, runtime: RuntimeConfig, seed: int, reporter: Reporter
) -> tuple[Classifier, pd.DataFrame, dict[str, Any]]:
    """Train the teacher on the training split; the validation split is only looked at."""
    real = datasets.load(data)
    torch.manual_seed(seed)
    teacher = Classifier.build(config.architecture, real.class_names, real.spec, key="teacher.architecture")
    teacher.provenance = {"stage": "teacher", "dataset": data.dataset, "seed": seed}
    fingerprint = {"teacher": config.model_dump(), "data": data.model_dump(), "seed": seed}
    resume = ResumePoint(runtime, "teacher", fingerprint, reporter)
    history, seconds = train(teacher, real.train, real.validation, config.training, runtime, resume, reporter)
    cost = {
        "seconds": seconds,
        "images_seen": len(real.train) * config.training.epochs,
        "training_data": real.train.digest(),
    }
    return teacher, pd.DataFrame(history), cost
