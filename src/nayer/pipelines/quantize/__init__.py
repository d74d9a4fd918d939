"""A model in INT8."""

from nayer.pipelines.quantize.pipeline import create_pipeline

__all__ = ["create_pipeline"]
