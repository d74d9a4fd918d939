"""Wiring of `rollback`."""

from kedro.pipeline import Node, Pipeline

from nayer.pipelines.rollback.nodes import roll_back


def create_pipeline() -> Pipeline:
    """Parameters -> the champion before."""
    return Pipeline([Node(roll_back, "params:promote", "rollback", name="roll_back")])
