"""A runner for `kedro run --runner beginnings.Begin`: runs no node, but builds what the nodes would build first."""

from typing import Any

import torch
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

from nayer import datasets
from nayer.core.errors import InputError
from nayer.datasets.config import DataConfig
from nayer.distillation.build import build
from nayer.distillation.config import DistillConfig
from nayer.distillation.estimate import estimate
from nayer.distillation.plan import plan
from nayer.engine.config import RuntimeConfig
from nayer.lte.config import LteConfig
from nayer.lte.embeddings import LabelEmbeddings
from nayer.lte.encoders import embed_labels
from nayer.models.classifier import Classifier
from nayer.teachers.config import TeacherConfig
from nayer.teachers.train import SupervisedState

BEGUN = "All checks passed, and the first steps."
MAX_STEPS = 30


class Begin(SequentialRunner):
    """Ends every run before its first node, with the sentence BEGUN."""

    def run(self, pipeline: Pipeline, catalog: Any, *_: Any, **__: Any) -> Any:
        loaded = catalog.load("parameters")
        nodes = {node.name for node in pipeline.nodes}
        if "embed_class_names" in nodes:
            begin(loaded, full="distill_student" in nodes)
        raise InputError(BEGUN)


def begin(parameters: dict[str, Any], full: bool) -> None:
    """Make embeddings, the teacher's schedule, and a few steps of synthesis and student, so that faults show here."""
    data = DataConfig.model_validate(parameters["data"])
    lte = LteConfig.model_validate(parameters["lte"])
    embeddings = embed_labels(lte, datasets.class_names(data), parameters["seed"])
    if full:
        teacher = begin_teacher(TeacherConfig.model_validate(parameters["teacher"]), data, parameters["seed"])
        distill = DistillConfig.model_validate(parameters["distill"])
        begin_distillation(teacher, embeddings, distill, RuntimeConfig.model_validate(parameters["runtime"]))


def begin_teacher(config: TeacherConfig, data: DataConfig, seed: int) -> Classifier:
    """Build the teacher, and take some steps of its optimiser and schedule."""
    torch.manual_seed(seed)
    real = datasets.load(data)
    teacher = Classifier.build(config.architecture, real.class_names, real.spec)
    if config.source == "train":
        steps = len(real.train) // min(config.training.batch_size, len(real.train))
        state = SupervisedState(teacher, config.training, steps)
        for _ in range(min(MAX_STEPS, steps * config.training.epochs)):
            state.optimiser.step()
            state.schedule.step()
    return teacher.eval()


def begin_distillation(
    teacher: Classifier, embeddings: LabelEmbeddings, config: DistillConfig, runtime: RuntimeConfig
) -> None:
    """Take the estimate's real steps; then make the real memory, fill it once and learn from it once."""
    made = plan(teacher, embeddings, config, runtime, seed=0)
    state = build(made)
    estimate(made, state)
    state.method.start_epoch(0)
    batch = state.method.step(state.trainer.student)
    state.targets.add(batch.images, batch.labels)
    state.learn(made.config.student)
