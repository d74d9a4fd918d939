"""Wiring of `distill`: its inputs are a teacher, a table and parameters. Real data has no way in."""

from kedro.pipeline import Node, Pipeline

from nayer.pipelines.distill.nodes import distill_student


def create_pipeline() -> Pipeline:
    """Teacher and label embeddings -> student."""
    inputs = ["teacher", "label_embeddings", "params:distill", "params:runtime", "params:seed", "reporter"]
    outputs = ["student", "distill_history", "memory_sample", "probe_sample", "distill_cost"]
    return Pipeline([Node(distill_student, inputs, outputs, name="distill_student", tags="gpu")])
