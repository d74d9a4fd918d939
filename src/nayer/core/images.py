"""Image shapes, augmentation and conversion. Images are (N, C, H, W), float in [0, 1] or uint8."""

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nayer.core.config import Config


@dataclass(frozen=True)
class ImageSpec:
    """Images that a classifier expects.

    `size` is the side in pixels (images are square); `mean` and `std` are per channel, on the [0, 1] scale.
    """

    size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class AugmentationConfig(Config):
    """Random augmentation, drawn for each image."""

    padding: Annotated[int, Field(ge=0, le=127)]
    """Zero padding on each side, in pixels, before a random crop back to the image's size."""
    flip: bool
    """Whether images are flipped horizontally at random, with a probability of 1/2."""

    def build(self) -> "Augmentation":
        """The augmentation that these parameters describe."""
        return Augmentation(self.padding, self.flip)


@dataclass(frozen=True)
class Augmentation:
    """Random crop after zero padding of `padding` pixels on each side and, if `flip`, a random horizontal flip."""

    padding: int
    flip: bool

    @property
    def crop_count(self) -> int:
        """Number of different views of an image."""
        return (2 * self.padding + 1) ** 2 * (1 + self.flip)

    def every(self, device: torch.device) -> Tensor:
        """All possible crops (crop_count, 3), in the format of `draw`."""
        shift, flipped = torch.arange(2 * self.padding + 1, device=device), torch.arange(1 + self.flip, device=device)
        return torch.cartesian_prod(shift, shift, flipped).to(torch.uint8)

    def draw(self, count: int, device: torch.device) -> Tensor:
        """Random crops (count, 3), one per image, as uint8: row, column, and whether flipped."""
        shifts = [torch.randint(0, 2 * self.padding + 1, (count, 1), device=device) for _ in range(2)]
        chance = torch.rand(count, 1, device=device) if self.flip else torch.ones(count, 1, device=device)
        return torch.cat([*shifts, chance < 0.5], 1).to(torch.uint8)

    def crop(self, images: Tensor, crops: Tensor) -> Tensor:
        """Views of images (N, C, H, W): image i is cropped by row i of `crops` (N, 3); gradients pass through."""
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
        """Views of a batch (N, C, H, W), with a random crop for each image."""
        return self.crop(images, self.draw(len(images), images.device))


def to_uint8(images: Tensor) -> Tensor:
    """Images in [0, 1] as uint8, rounded to nearest."""
    return images.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def to_float(images: Tensor) -> Tensor:
    """uint8 images as float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)
