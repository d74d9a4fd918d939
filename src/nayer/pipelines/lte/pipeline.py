"""Wiring of `lte`."""

from kedro.pipeline import Node, Pipeline

from nayer.pipelines.lte.nodes import embed_class_names


def create_pipeline() -> Pipeline:
    """Class names -> label embeddings."""
    return Pipeline([Node(embed_class_names, ["params:lte", "params:data", "params:seed"], "label_embeddings")])
