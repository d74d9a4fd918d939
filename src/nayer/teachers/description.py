"""What a teacher that exists says about itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Description:
    """What a model says about itself; None where it does not."""

    architecture: str | None
    weights: str
    class_names: tuple[str, ...] | None
    image_size: int | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    note: str | None = None
    """What its owner must know, in a sentence."""
