"""Pipeline that compares student and teacher on real test data or the probe: metrics, costs, and a report."""

from nayer.pipelines.evaluate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
