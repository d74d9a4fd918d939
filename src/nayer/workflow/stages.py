"""The stages (pipelines) that a run consists of."""

from kedro.framework.project import pipelines as registered
from kedro.pipeline import Pipeline

from nayer.pipelines import CHAIN, ON_REQUEST, REGISTRY

LOOPS = {"teacher", "distill"}
"""Stages that take long and keep a state from which they can resume."""


def stages_in(pipeline: Pipeline) -> list[str]:
    """Names of the stages of which at least one node will run, in the order of the chain."""
    wanted = {node.name for node in pipeline.nodes}
    known = [name for name in (*CHAIN, *ON_REQUEST, *REGISTRY) if name in registered]
    return [name for name in known if wanted & {node.name for node in registered[name].nodes}]


def is_complete(stage: str, pipeline: Pipeline) -> bool:
    """Whether all nodes of a stage are in the pipeline."""
    return {node.name for node in registered[stage].nodes} <= {node.name for node in pipeline.nodes}
