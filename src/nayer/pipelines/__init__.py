"""One folder a pipeline: wiring in pipeline.py, adapters of some lines in nodes.py."""

CHAIN = ("lte", "teacher", "distill", "evaluate")
"""What `kedro run` alone does, and what DVC has stages for."""
REGISTRY = ("promote", "rollback")
"""They touch the registry, so neither the default run nor DVC has them."""
