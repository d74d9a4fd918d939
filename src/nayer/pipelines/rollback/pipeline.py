"""Wiring of the pipeline `rollback`."""

from kedro.pipeline import Node, Pipeline

from nayer.pipelines.rollback.nodes import roll_back


def create_pipeline() -> Pipeline:
    """Parameters -> the former champion restored."""
    return Pipeline([Node(roll_back, "params:promote", "rollback", name="roll_back")])
