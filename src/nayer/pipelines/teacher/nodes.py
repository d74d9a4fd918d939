"""Adapter nodes for `nayer.teachers`."""

from typing import Any

import pandas as pd
import torch

from nayer import datasets
from nayer.datasets.config import DataConfig
from nayer.engine import fingerprint
from nayer.engine.allocator import keep_freed_memory
from nayer.engine.config import RuntimeConfig
from nayer.engine.progress import Reporter
from nayer.engine.resume import ResumePoint
from nayer.mlops.registry.teachers import SOURCES
from nayer.models.architectures import code_digest
from nayer.models.classifier import Classifier
from nayer.teachers.config import TRAIN, TeacherConfig, TrainingConfig
from nayer.teachers.pretrained import load_pretrained
from nayer.teachers.train import COLUMNS, train

Made = tuple[Classifier, pd.DataFrame, dict[str, Any]]


def make_teacher(
    config: TeacherConfig, data: DataConfig, runtime: RuntimeConfig, seed: int, reporter: Reporter
) -> Made:
    """Train the teacher, or load an existing one."""
    if config.source != TRAIN or config.training is None:
        return (
            load_pretrained(config, data, SOURCES),
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
    """Train the teacher on the training split; the validation split is only reported on."""
    keep_freed_memory()
    real = datasets.load(data)
    torch.manual_seed(seed)
    teacher = Classifier.build(config.architecture, real.class_names, real.spec, key="teacher.architecture")
    teacher.provenance = {"stage": "teacher", "dataset": data.dataset, "seed": seed}
    training_data = real.train.digest()
    identity = {
        "teacher": config.model_dump(),
        "data": data.model_dump(),
        "training_data": training_data,
        "seed": seed,
        "own_network": code_digest(config.architecture),
        "code": fingerprint.code_digest(train.__module__),
    }
    resume = ResumePoint(runtime, "teacher", identity, reporter)
    history, seconds = train(teacher, real.train, real.validation, recipe, runtime, resume, reporter)
    batch = min(recipe.batch_size, len(real.train))
    cost = {
        "seconds": seconds,
        "images_seen": len(real.train) // batch * batch * recipe.epochs,  # an incomplete last batch is dropped
        "training_data": training_data,
    }
    return teacher, pd.DataFrame(history, columns=COLUMNS), cost
