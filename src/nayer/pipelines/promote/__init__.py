"""Pipeline that registers an evaluated student in MLflow, and makes it champion if it passes the gate."""

from nayer.pipelines.promote.pipeline import create_pipeline

__all__ = ["create_pipeline"]
