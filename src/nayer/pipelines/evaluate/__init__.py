"""Student and teacher on real test data: figures, costs, and a report."""

from nayer.pipelines.evaluate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
