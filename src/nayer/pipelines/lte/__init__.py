"""Class names to label-text embeddings."""

from nayer.pipelines.lte.pipeline import create_pipeline

__all__ = ["create_pipeline"]
