"""Wiring of the pipeline `lte`."""

from kedro.pipeline import Node, Pipeline

from nayer.pipelines.lte.nodes import embed_class_names


def create_pipeline() -> Pipeline:
    """Class names -> label embeddings."""
    inputs = ["params:lte", "params:data", "params:seed", "reporter"]
    return Pipeline([Node(embed_class_names, inputs, "label_embeddings", name="embed_class_names")])
