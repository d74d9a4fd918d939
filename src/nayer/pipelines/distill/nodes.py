"""Adapters of `nayer.training.distillation`."""

from typing import Any

import pandas as pd

from nayer.config import DistillConfig, RuntimeConfig
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.synthesis.memory import MemorySample
from nayer.training.distillation import distill
from nayer.training.reporting import Reporter
from nayer.training.resume import ResumePoint, weights_digest


def distill_student(
    teacher: Classifier,
    embeddings: LabelEmbeddings,
    config: DistillConfig,
    runtime: RuntimeConfig,
    seed: int,
    reporter: Reporter,
) -> tuple[Classifier, pd.DataFrame, MemorySample, dict[str, Any]]:
    """Distil the student of the last epoch, with its history, a look into the memory, and the effort."""
    inputs = {
        "teacher": weights_digest(teacher.network.state_dict()),
        "label_embeddings": weights_digest({"table": embeddings.table}),
    }
    fingerprint = {"distill": config.model_dump(), "seed": seed, "precision": runtime.precision, **inputs}
    resume = ResumePoint(runtime, "distill", fingerprint, reporter)
    result = distill(teacher, embeddings, config, runtime, seed, resume, reporter)
    result.student.provenance = {"stage": "distill", "method": "NAYER", "seed": seed, **inputs}
    cost = {
        "seconds": sum(result.seconds.values()),
        "seconds_by_phase": result.seconds,
        "images_made": result.images_made,
    }
    return result.student, pd.DataFrame(result.history), result.sample, cost
