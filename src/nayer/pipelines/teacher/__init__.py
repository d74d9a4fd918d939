"""Real data to a trained teacher."""

from nayer.pipelines.teacher.pipeline import create_pipeline

__all__ = ["create_pipeline"]
