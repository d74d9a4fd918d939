"""Adapters of `nayer.training.supervised` and `nayer.training.existing`."""

from typing import Any

import pandas as pd
import torch

from nayer import datasets
from nayer.config import DataConfig, RuntimeConfig, TeacherConfig, TrainingConfig
from nayer.mlops.teachers import registered_weights
from nayer.models.architectures import code_digest
from nayer.models.classifier import Classifier
from nayer.training.existing import existing_teacher
from nayer.training.reporting import Reporter
from nayer.training.resume import ResumePoint
from nayer.training.supervised import COLUMNS, train

Made = tuple[Classifier, pd.DataFrame, dict[str, Any]]


def make_teacher(
    config: TeacherConfig, data: DataConfig, runtime: RuntimeConfig, seed: int, reporter: Reporter
) -> Made:
    """Train the teacher, or take the one that exists."""
    if config.source != "train" or config.training is None:
        return (
            existing_teacher(config, data, registered_weights),
            pd.DataFrame(columns=COLUMNS),
            {"seconds": 0.0, "images_seen": 0},
        )
    return train_teacher(config, config.training, data, runtime, seed, reporter)


def train_teacher(
    config: TeacherConfig,
    recipe: TrainingConfig,
    data: DataConfig,
    runtime: RuntimeConfig,
    seed: int,
    reporter: Reporter,
) -> Made:
    """Train the teacher on the training split; the validation split is only looked at."""
    real = datasets.load(data)
    torch.manual_seed(seed)
    teacher = Classifier.build(config.architecture, real.class_names, real.spec, key="teacher.architecture")
    teacher.provenance = {"stage": "teacher", "dataset": data.dataset, "seed": seed}
    fingerprint = {
        "teacher": config.model_dump(),
        "data": data.model_dump(),
        "seed": seed,
        "own_network": code_digest(config.architecture),
    }
    resume = ResumePoint(runtime, "teacher", fingerprint, reporter)
    history, seconds = train(teacher, real.train, real.validation, recipe, runtime, resume, reporter)
    cost = {
        "seconds": seconds,
        "images_seen": len(real.train) * recipe.epochs,
        "training_data": real.train.digest(),
    }
    return teacher, pd.DataFrame(history, columns=COLUMNS), cost
