"""The project's pipelines by name."""

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

from nayer.pipelines import CHAIN


def register_pipelines() -> dict[str, Pipeline]:
    """One pipeline for every folder of `pipelines/`, and `__default__`, the whole chain, for a plain `kedro run`."""
    pipelines: dict[str, Pipeline] = find_pipelines(raise_errors=True)
    pipelines["__default__"] = sum((pipelines[name] for name in CHAIN if name in pipelines), Pipeline([]))
    return pipelines
