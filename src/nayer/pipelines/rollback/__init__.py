"""Pipeline that makes the version champion again that the registry's champion superseded."""

from nayer.pipelines.rollback.pipeline import create_pipeline

__all__ = ["create_pipeline"]
