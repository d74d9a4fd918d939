"""Wiring of the pipeline `distill`: its inputs are a teacher, label embeddings and parameters, never real data."""

from kedro.pipeline import Node, Pipeline

from nayer.pipelines.distill.nodes import distill_student


def create_pipeline() -> Pipeline:
    """Teacher and label embeddings -> student."""
    inputs = ["teacher", "label_embeddings", "params:distill", "params:runtime", "params:seed", "reporter"]
    outputs = ["student", "distill_history", "memory_sample", "probe_sample", "distill_cost"]
    return Pipeline([Node(distill_student, inputs, outputs, name="distill_student", tags="gpu")])
