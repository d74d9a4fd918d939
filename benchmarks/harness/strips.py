"""Strips that show at a glance what a run's images look like."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nayer.synthesis.sample import SyntheticSample

COLUMNS = 10


def strip(sample: SyntheticSample, classes: int) -> Tensor:
    """One image of each of the first classes side by side, uint8 (H, W, 3); white for a class without images."""
    shown = torch.full_like(sample.images[:1], 255).repeat(min(classes, COLUMNS), 1, 1, 1)
    for label in range(len(shown)):
        shown[label] = next(iter(sample.images[sample.labels == label]), shown[label])
    row = F.pad(shown, (1, 1, 0, 0), value=255).permute(2, 0, 3, 1).flatten(1, 2)
    return row.expand(-1, -1, 3)
