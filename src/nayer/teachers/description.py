"""Description of an existing teacher, as its own files or its library give it."""

from dataclasses import dataclass
from typing import Any

# Images can be made in grey or in colour, and no network of today takes more pixels a side.
CHANNELS, MOST_SIDE = (1, 3), 1024


@dataclass(frozen=True)
class Description:
    """What is known about an existing teacher; a field is None where neither its files nor its library state it."""

    architecture: str | None
    weights: str
    class_names: tuple[str, ...] | None
    image_size: int | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    crop: float = 1.0
    """Share of a picture's shorter side, cut from the middle, that the teacher is shown."""
    note: str | None = None
    """One sentence of warning to print to the user; None without."""


def share_shown(said: Any) -> float:
    """A file's value for `Description.crop` if it is a valid share, otherwise 1: the whole picture."""
    return float(said) if isinstance(said, int | float) and 0 < said <= 1 else 1.0
