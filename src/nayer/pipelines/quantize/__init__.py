"""Pipeline that converts a model to INT8 and measures what that costs and saves."""

from nayer.pipelines.quantize.pipeline import create_pipeline

__all__ = ["create_pipeline"]
