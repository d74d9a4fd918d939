"""One folder per pipeline: wiring in pipeline.py, adapters of a few lines in nodes.py."""

CHAIN = ("lte", "teacher", "distill", "evaluate")
"""Pipelines that a plain `kedro run` runs, and that DVC has stages for."""
ON_REQUEST = ("quantize",)
"""Pipelines after the chain that run on request; DVC has a stage for each that a scenario has parameters for."""
REGISTRY = ("promote", "rollback")
"""Pipelines that change the model registry, and are therefore part of neither the default run nor DVC."""
