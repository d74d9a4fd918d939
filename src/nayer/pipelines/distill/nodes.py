"""Adapters of `nayer.training.distillation`."""

from typing import Any

import pandas as pd

from nayer.config import DistillConfig, RuntimeConfig
from nayer.files import tensors_digest
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.architectures import code_digest
from nayer.models.classifier import Classifier
from nayer.synthesis.memory import SyntheticSample
from nayer.training.launch import Job, run
from nayer.training.reporting import Reporter


def distill_student(
    teacher: Classifier,
    embeddings: LabelEmbeddings,
    config: DistillConfig,
    runtime: RuntimeConfig,
    seed: int,
    reporter: Reporter,
) -> tuple[Classifier, pd.DataFrame, SyntheticSample, SyntheticSample, dict[str, Any]]:
    """Distil the student of the last epoch, with its history, a look into the memory, unseen images, and the effort."""
    inputs = {
        "teacher": tensors_digest(teacher.network.state_dict()),
        "label_embeddings": tensors_digest({"table": embeddings.table}),
    }
    networks = [code_digest(teacher.architecture), code_digest(config.student.architecture)]
    rounding = {"precision": runtime.precision, "compile": runtime.compile}
    fingerprint = {"distill": config.model_dump(), "seed": seed, **rounding, **inputs, "own_networks": networks}
    result = run(Job(teacher, embeddings, config, runtime, seed, fingerprint), reporter)
    result.student.provenance = {"stage": "distill", "method": "NAYER", "seed": seed, **inputs}
    cost = {
        "seconds": sum(result.seconds.values()),
        "seconds_by_phase": result.seconds,
        "images_made": result.images_made,
    }
    return result.student, pd.DataFrame(result.history), result.sample, result.held_out, cost
