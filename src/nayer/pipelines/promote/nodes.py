"""Adapter node for `nayer.mlops.registry.promotion`."""

from pathlib import Path
from typing import Any

from nayer import datasets
from nayer.datasets.config import DataConfig
from nayer.export.onnx import OnnxFile
from nayer.lte.embeddings import LabelEmbeddings
from nayer.mlops.registry.config import PromoteConfig
from nayer.mlops.registry.promotion import Candidate, Int8, promote
from nayer.mlops.tracking import run
from nayer.models.classifier import Classifier


def promote_student(
    student: Classifier,
    teacher: Classifier,
    embeddings: LabelEmbeddings,
    metrics: dict[str, Any],
    cost: dict[str, Any],
    digests: dict[str, str],
    int8: OnnxFile | None,
    int8_metrics: dict[str, Any] | None,
    int8_cost: dict[str, Any] | None,
    config: PromoteConfig,
    data: DataConfig,
    scenario: str,
) -> dict[str, Any]:
    """Register the student as challenger; the gate decides whether it becomes champion."""
    quantized = Int8(int8, int8_metrics, int8_cost) if int8 and int8_metrics and int8_cost else None
    candidate = Candidate(student, teacher, embeddings, metrics, cost, digests, quantized)
    tags = {"scenario": scenario, **run.source_tags(Path.cwd(), scenario)}
    with run.answering():
        return promote(candidate, config, tags, lambda: datasets.load(data).test)
