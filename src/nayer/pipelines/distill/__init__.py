"""Pipeline that distils a student from a teacher and label embeddings, without real data."""

from nayer.pipelines.distill.pipeline import create_pipeline

__all__ = ["create_pipeline"]
