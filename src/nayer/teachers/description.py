"""What a teacher that exists says about itself."""

from dataclasses import dataclass

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
    note: str | None = None
    """What its owner must know, in a sentence."""


def note_on_crop(said_by: str) -> str:
    """What an owner must know whose image processor does not show the network whole pictures."""
    return (
        f"Its image processor cuts the edges of pictures off ({said_by}); here they are scaled whole, so its accuracy "
        "on test pictures may be lower than its owner knows it."
    )
