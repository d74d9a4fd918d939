"""Differentiable random crops, for loss terms that compare several views of an image."""

from math import log

import torch
import torch.nn.functional as F
from torch import Tensor

WIDEST = log(4 / 3)


def random_resized_crop(images: Tensor, least: float = 0.25) -> Tensor:
    """A random crop of each image (N, C, H, W), resized to the full image; every crop is flipped with probability 1/2.

    Crops have `least` to all of the area, and aspect ratios of 3:4 to 4:3. Gradients flow through.
    """
    area, stretch, flipped, *place = torch.rand(5, len(images), device=images.device)
    side, aspect = (least + (1 - least) * area).sqrt(), ((2 * stretch - 1) * WIDEST / 2).exp()
    sides = torch.stack([side * aspect, side / aspect]).clamp(max=1)
    shift = (2 * torch.stack(place) - 1) * (1 - sides)
    across = sides[0] * torch.where(flipped < 0.5, -1, 1)
    none = torch.zeros_like(across)
    rows = torch.stack([across, none, shift[0], none, sides[1], shift[1]], 1).view(-1, 2, 3)
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False)
