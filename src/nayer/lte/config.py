"""Parameters of the label-text embeddings."""

from typing import Annotated

from pydantic import Field

from nayer.core.config import Config, Count, Place, Text


class LteConfig(Config):
    """Label-text embeddings."""

    encoder: Place
    """minilm (bundled), a Hugging Face id, a folder, a *.safetensors table, or the ablations one_hot and random."""
    revision: Text | None
    """Revision of a hub model; null takes the newest."""
    prompt: Text
    """The sentence in which {} is the class name."""
    batch_size: Count
    """Prompts encoded at once."""
    random_dim: Annotated[int, Field(ge=1, le=100_000)]
    """Width of the table that `encoder: random` draws."""
