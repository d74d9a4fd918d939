"""One folder a pipeline: wiring in pipeline.py, adapters of some lines in nodes.py."""

CHAIN = ("lte", "teacher", "distill", "evaluate")
"""What `kedro run` alone does, and what DVC has stages for."""
ON_REQUEST = ("quantize",)
"""After the chain, where it is asked for: DVC has a stage for each that a scenario has parameters for."""
REGISTRY = ("promote", "rollback")
"""They touch the registry, so neither the default run nor DVC has them."""
