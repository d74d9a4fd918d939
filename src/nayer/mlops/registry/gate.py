"""The gate to `champion`: fixed thresholds, and a limit on regression against the current champion."""

from collections.abc import Mapping
from dataclasses import dataclass

import mlflow
from mlflow.models import EvaluationResult, MetricThreshold
from mlflow.models.evaluation.validation import ModelValidationFailedException

from nayer.mlops.registry.config import GateConfig

# 0.8 - 0.1 is 0.7000000000000001 to a computer: an accuracy of 0.7 would miss it.
DIGITS = 12


@dataclass(frozen=True)
class Check:
    """One threshold, the candidate's value, and whether it passes."""

    key: str
    """Parameter that sets the limit."""
    metric: str
    value: float
    limit: float
    greater_is_better: bool
    passed: bool

    def __str__(self) -> str:
        bound = "at least" if self.greater_is_better else "at most"
        text = f"{self.metric} {self.value:.5g}, {bound} {self.limit:.5g} is required ({self.key})"
        return text if self.passed else f"{text}: missed by {abs(self.value - self.limit):.3g}"


def checks(config: GateConfig, figures: Mapping[str, float], champion_top1: float | None) -> list[Check]:
    """Check the candidate's figures against every threshold; `champion_top1` must be on the same test data."""
    rows = [
        ("promote.gate.least_top1", "student.top1", config.least_top1, True),
        ("promote.gate.least_agreement", "agreement", config.least_agreement, True),
        ("promote.gate.largest_file_mib", "file_mib", config.largest_file_mib, False),
        ("promote.gate.longest_latency_ms", "latency_ms_batch_1", config.longest_latency_ms, False),
    ]
    if champion_top1 is not None:
        least = round(champion_top1 - config.largest_regression, DIGITS)
        rows.append(("the champion's, less promote.gate.largest_regression", "student.top1", least, True))
    return [
        Check(key, metric, figures[metric], limit, greater, passes(metric, figures[metric], limit, greater))
        for key, metric, limit, greater in rows
    ]


def passes(metric: str, value: float, limit: float, greater_is_better: bool) -> bool:
    """Whether one metric passes MLflow's own validation; a value equal to the limit does."""
    threshold = MetricThreshold(threshold=float(limit), greater_is_better=greater_is_better)
    try:
        mlflow.validate_evaluation_results({metric: threshold}, EvaluationResult({metric: float(value)}, {}))
    except ModelValidationFailedException:
        return False
    return True
