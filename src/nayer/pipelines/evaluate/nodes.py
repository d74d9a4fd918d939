"""Adapters of `nayer.evaluation`."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from nayer import datasets
from nayer.config import DataConfig, DistillConfig, EvaluateConfig, RuntimeConfig
from nayer.evaluation import baselines, cost, figures, metrics, report
from nayer.lte.embeddings import LabelEmbeddings
from nayer.mlops.tracking import flatten
from nayer.models.classifier import Classifier
from nayer.synthesis.memory import MemorySample
from nayer.training.device import resolve_device
from nayer.training.reporting import Reporter


def compare_on_test_data(
    teacher: Classifier, student: Classifier, evaluate: EvaluateConfig, data: DataConfig, runtime: RuntimeConfig
) -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Read the test data once and compare student and teacher on it."""
    test, device = datasets.load(data).test, resolve_device(runtime)
    logits = [metrics.predict(model, test.images, evaluate.batch_size, device) for model in (teacher, student)]
    result = metrics.compare(logits[0], logits[1], test.labels, teacher.class_names, evaluate.calibration_bins)
    return {**result.metrics, "test_data": test.digest()}, result.per_class, result.confusion


def train_baselines(
    teacher: Classifier,
    evaluate: EvaluateConfig,
    distill: DistillConfig,
    data: DataConfig,
    runtime: RuntimeConfig,
    seed: int,
    reporter: Reporter,
) -> dict[str, float]:
    """Test accuracy of the ceiling and floor that `evaluate.baselines` asks for; nothing by default."""
    if not evaluate.baselines:
        return {}
    real = datasets.load(data)
    return {
        name: baselines.accuracy_of(name, teacher, real, distill, runtime, seed, reporter)
        for name in evaluate.baselines
    }


def measure_cost(
    teacher: Classifier,
    student: Classifier,
    evaluate: EvaluateConfig,
    teacher_cost: dict[str, Any],
    distill_cost: dict[str, Any],
) -> dict[str, Any]:
    """Sizes and latencies of both models, and what the training took."""
    return cost.cost(teacher, student, evaluate.latency_seconds, teacher_cost, distill_cost)


def report_results(
    scenario: str,
    metrics: dict[str, Any],
    cost: dict[str, Any],
    per_class: pd.DataFrame,
    confusion: pd.DataFrame,
    baselines: dict[str, float],
    teacher_history: pd.DataFrame,
    distill_history: pd.DataFrame,
    sample: MemorySample,
    embeddings: LabelEmbeddings,
    student: Classifier,
    parameters: dict[str, Any],
) -> tuple[Figure, Figure, Figure, Figure, str]:
    """The four figures, and everything on one page."""
    names = embeddings.class_names
    drawn = {
        "training_curves": figures.training_curves(teacher_history, distill_history),
        "synthetic_images": figures.synthetic_images(sample.images, sample.labels, names),
        "embedding_similarity": figures.embedding_similarity(embeddings.table, names),
        "confusion_matrix": figures.confusion(confusion),
    }
    provenance = {
        "class names": ", ".join(names),
        "text encoder": f"{embeddings.encoder} ({embeddings.revision})",
        "prompt": embeddings.prompt,
        **student.provenance,
    }
    page = report.render(scenario, metrics, cost, per_class, baselines, drawn, flatten(parameters), provenance)
    curves, images, similarity, confusion_matrix = drawn.values()
    return curves, images, similarity, confusion_matrix, page
