"""An evaluated student to a version of the MLflow model registry, and through the gate to its champion."""

from nayer.pipelines.promote.pipeline import create_pipeline

__all__ = ["create_pipeline"]
