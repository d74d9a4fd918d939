"""What a teacher that exists says about itself."""

from dataclasses import dataclass
from typing import Any

# Grey and coloured images can be made, and no network of today takes larger ones.
CHANNELS, MOST_SIDE = (1, 3), 1024


@dataclass(frozen=True)
class Description:
    """What a model says about itself; None where it does not."""

    architecture: str | None
    weights: str
    class_names: tuple[str, ...] | None
    image_size: int | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    crop: float = 1.0
    """The share of a picture's shorter side that its owner shows it, from the middle."""
    note: str | None = None
    """What its owner must know, in a sentence."""


def share_shown(said: Any) -> float:
    """What a stranger's file says of that share, if it is one; whole pictures otherwise."""
    return float(said) if isinstance(said, int | float) and 0 < said <= 1 else 1.0
