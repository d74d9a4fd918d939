"""Wiring of the pipeline `promote`."""

from kedro.pipeline import Node, Pipeline

from nayer.pipelines.promote.nodes import promote_student


def create_pipeline() -> Pipeline:
    """Student and its figures -> a registered version."""
    inputs = [
        "student",
        "teacher",
        "label_embeddings",
        "metrics",
        "cost",
        "digests",
        "int8",
        "int8_metrics",
        "int8_cost",
        "params:promote",
        "params:data",
        "params:scenario",
    ]
    return Pipeline([Node(promote_student, inputs, "promotion", name="promote_student")])
