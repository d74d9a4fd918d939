"""Shapes of images and their augmentation. Images are (N, C, H, W), float in [0, 1] or uint8."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class ImageSpec:
    """What a classifier expects of an image.

    `size` is the side in pixels (images are square), `mean` and `std` are per channel on the [0, 1] scale.
    """

    size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Augmentation:
    """Random crop after zero padding of `padding` pixels a side, and horizontal flip if `flip`."""

    padding: int
    flip: bool

    def __call__(self, images: Tensor) -> Tensor:
        """Crop and flip every image of the batch (N, C, H, W) by its own draw; gradients pass through."""
        if not self.padding and not self.flip:
            return images
        count, channels, height, width = images.shape
        device = images.device
        row_shift = torch.randint(0, 2 * self.padding + 1, (count, 1), device=device)
        column_shift = torch.randint(0, 2 * self.padding + 1, (count, 1), device=device)
        rows = torch.arange(height, device=device) + row_shift
        columns = torch.arange(width, device=device).expand(count, width)
        if self.flip:
            flipped = torch.rand(count, 1, device=device) < 0.5
            columns = torch.where(flipped, columns.flip(1), columns)
        columns = columns + column_shift
        padded = F.pad(images, [self.padding] * 4)
        cropped = padded.gather(2, rows[:, None, :, None].expand(-1, channels, -1, padded.shape[3]))
        return cropped.gather(3, columns[:, None, None, :].expand(-1, channels, height, -1))


def to_uint8(images: Tensor) -> Tensor:
    """Images in [0, 1] as uint8, rounded to nearest."""
    return images.mul(255).round_().clamp_(0, 255).to(torch.uint8)


def to_float(images: Tensor) -> Tensor:
    """uint8 images as float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)
