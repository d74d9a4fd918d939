"""Pipeline that trains a teacher on real data, or loads an existing one."""

from nayer.pipelines.teacher.pipeline import create_pipeline

__all__ = ["create_pipeline"]
