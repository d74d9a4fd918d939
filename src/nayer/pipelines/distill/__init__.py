"""Teacher and label-text embeddings to a student, without data."""

from nayer.pipelines.distill.pipeline import create_pipeline

__all__ = ["create_pipeline"]
