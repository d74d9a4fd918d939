"""Adapter node for `nayer.distillation.launch`."""

from typing import Any

import pandas as pd

from nayer.distillation.config import DistillConfig
from nayer.distillation.launch import Job, run
from nayer.engine.allocator import keep_freed_memory
from nayer.engine.config import RuntimeConfig
from nayer.engine.progress import Reporter
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.synthesis.sample import SyntheticSample


def distill_student(
    teacher: Classifier,
    embeddings: LabelEmbeddings,
    config: DistillConfig,
    runtime: RuntimeConfig,
    seed: int,
    reporter: Reporter,
) -> tuple[Classifier, pd.DataFrame, SyntheticSample, SyntheticSample, dict[str, Any]]:
    """Distil a student; returns that of the last epoch, its history, samples of memory and probe, and the cost."""
    keep_freed_memory()
    result = run(Job(teacher, embeddings, config, runtime, seed), reporter)
    cost = {
        "seconds": sum(result.seconds.values()),
        "seconds_by_phase": result.seconds,
        "images_made": result.images_made,
        "leaves": result.leaves,
    }
    return result.student, pd.DataFrame(result.history), result.sample, result.probes, cost
