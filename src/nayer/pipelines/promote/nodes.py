"""Adapter of `nayer.mlops.promotion`."""

from pathlib import Path
from typing import Any

from nayer import datasets
from nayer.config import DataConfig, PromoteConfig
from nayer.lte.embeddings import LabelEmbeddings
from nayer.mlops import tracking
from nayer.mlops.promotion import Candidate, promote
from nayer.models.classifier import Classifier


def promote_student(
    student: Classifier,
    teacher: Classifier,
    embeddings: LabelEmbeddings,
    metrics: dict[str, Any],
    cost: dict[str, Any],
    digests: dict[str, str],
    config: PromoteConfig,
    data: DataConfig,
    scenario: str,
) -> dict[str, Any]:
    """Register the student as challenger; the gate decides whether it becomes champion."""
    candidate = Candidate(student, teacher, embeddings, metrics, cost, digests)
    tags = {"scenario": scenario, **tracking.source_tags(Path.cwd(), scenario)}
    with tracking.answering():
        return promote(candidate, config, tags, lambda: datasets.load(data).test)
