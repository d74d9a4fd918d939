"""Pipeline that turns class names into label embeddings."""

from nayer.pipelines.lte.pipeline import create_pipeline

__all__ = ["create_pipeline"]
