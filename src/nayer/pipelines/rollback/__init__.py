"""The registry's champion back to the version that it superseded."""

from nayer.pipelines.rollback.pipeline import create_pipeline

__all__ = ["create_pipeline"]
