"""Shapes of images and their augmentation. Images are (N, C, H, W), float in [0, 1] or uint8."""

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nayer.core.config import Config


@dataclass(frozen=True)
class ImageSpec:
    """What a classifier expects of an image.

    `size` is the side in pixels (images are square), `mean` and `std` are per channel on the [0, 1] scale.
    """

    size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class AugmentationConfig(Config):
    """Per-sample augmentation of a scenario's images."""

    padding: Annotated[int, Field(ge=0, le=127)]
    """Zero padding in pixels a side before the random crop."""
    flip: bool
    """Horizontal flip of every second image."""

    def build(self) -> "Augmentation":
        """What does it."""
        return Augmentation(self.padding, self.flip)


@dataclass(frozen=True)
class Augmentation:
    """Random crop after zero padding of `padding` pixels a side, and horizontal flip if `flip`."""

    padding: int
    flip: bool

    @property
    def crop_count(self) -> int:
        """How many different views of an image there are."""
        return (2 * self.padding + 1) ** 2 * (1 + self.flip)

    def every(self, device: torch.device) -> Tensor:
        """All crops there are (crop_count, 3), in the form of `draw`."""
        shift, flipped = torch.arange(2 * self.padding + 1, device=device), torch.arange(1 + self.flip, device=device)
        return torch.cartesian_prod(shift, shift, flipped).to(torch.uint8)

    def draw(self, count: int, device: torch.device) -> Tensor:
        """Crops (count, 3) of as many images: row, column, and whether flipped, as uint8."""
        shifts = [torch.randint(0, 2 * self.padding + 1, (count, 1), device=device) for _ in range(2)]
        chance = torch.rand(count, 1, device=device) if self.flip else torch.ones(count, 1, device=device)
        return torch.cat([*shifts, chance < 0.5], 1).to(torch.uint8)

    def crop(self, images: Tensor, crops: Tensor) -> Tensor:
        """View i is image i of (N, C, H, W) cut by row i of `crops`; gradients pass through."""
        if not self.padding and not self.flip:
            return images
        _, channels, height, width = images.shape
        row, column, flipped = (part[:, None] for part in crops.long().unbind(1))
        rows = torch.arange(height, device=images.device) + row
        columns = torch.arange(width, device=images.device)
        columns = torch.where(flipped.bool(), columns.flip(0), columns) + column
        padded = F.pad(images, [self.padding] * 4)
        cropped = padded.gather(2, rows[:, None, :, None].expand(-1, channels, -1, padded.shape[3]))
        return cropped.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))

    def __call__(self, images: Tensor) -> Tensor:
        """Every image of the batch (N, C, H, W) cut by a draw of its own."""
        return self.crop(images, self.draw(len(images), images.device))


def to_uint8(images: Tensor) -> Tensor:
    """Images in [0, 1] as uint8, rounded to nearest."""
    return images.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def to_float(images: Tensor) -> Tensor:
    """uint8 images as float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)
