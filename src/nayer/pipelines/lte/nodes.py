"""Adapter nodes for `nayer.lte`."""

from nayer import datasets
from nayer.datasets.config import DataConfig
from nayer.engine.progress import Reporter
from nayer.lte.config import LteConfig
from nayer.lte.embeddings import LabelEmbeddings
from nayer.lte.encoders import embed_labels


def embed_class_names(lte: LteConfig, data: DataConfig, seed: int, reporter: Reporter) -> LabelEmbeddings:
    """Table of label embeddings; no image is read."""
    return embed_labels(lte, datasets.class_names(data), seed, reporter)
