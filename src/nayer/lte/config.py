"""Parameters of the label embeddings."""

from typing import Annotated

from pydantic import Field

from nayer.core.config import Config, Count, Place, Text


class LteConfig(Config):
    """Label embeddings: one row of numbers per class, from a text encoder."""

    encoder: Place
    """Text encoder: minilm (bundled), a Hugging Face id, a folder, a *.safetensors table, or as ablations one_hot or
    random."""
    revision: Text | None
    """Revision of a Hugging Face model; null takes the newest."""
    prompt: Text
    """Text to encode for each class; {} stands for its name."""
    batch_size: Count
    """Texts encoded at once."""
    random_dim: Annotated[int, Field(ge=1, le=100_000)]
    """Width of the random table, with `encoder: random`."""
