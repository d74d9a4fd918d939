"""Procedural pictures, brought nearer to a teacher's training data by some steps on their pixels.

What its BatchNorm layers know of that data is the goal, as in DeepInversion (arXiv 1912.08795, section 3.2), which
begins with noise and takes thousands of steps. Pictures that have edges and scales already need a handful.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from math import ceil
from typing import Any

import torch
from torch import Tensor

from nayer.models.classifier import Classifier
from nayer.synthesis.parts.batchnorm import BatchNormStatistics, layers_with_statistics
from nayer.synthesis.parts.leaves import dead_leaves

LEARNING_RATE = 0.05
"""Of the pixels' Adam, on the teacher's normalised scale, as DeepInversion's."""
# Matched at once, 256 pictures of 32 x 32 and fewer larger ones: a step holds what every layer of the teacher gave.
PIXELS, LEAST = 2**18, 16


class MatchedLeaves:
    """Dead leaves for one teacher; of one without BatchNorm they stay as they are drawn."""

    def __init__(self, teacher: Classifier, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        self.teacher, self.autocast = teacher, autocast
        self.statistics = BatchNormStatistics(layers_with_statistics(teacher), momentum=1.0)

    def draw(self, count: int, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images (count, C, H, W) in [0, 1], the teacher's logits on them (count, classes), and the BatchNorm term.

        Many are matched in parts: of each, mean and variance are to be what the layers know.
        """
        images = dead_leaves(self.teacher, count)
        most = max(LEAST, PIXELS // self.teacher.images.size**2)
        with self.statistics.recording():
            if self.statistics.layers:
                images = torch.cat([self.match(part, steps) for part in images.chunk(ceil(count / most))])
            with torch.no_grad(), self.autocast():
                logits = self.teacher(images)
            return images, logits, self.statistics.loss().to(logits.device)

    def match(self, images: Tensor, steps: int) -> Tensor:
        """So many steps of Adam on the pixels; what leaves [0, 1] is brought back."""
        mean, std = self.teacher.mean, self.teacher.std
        pixels = ((images - mean) / std).contiguous(memory_format=torch.channels_last).requires_grad_()
        optimiser = torch.optim.Adam([pixels], LEARNING_RATE, fused=True)
        for _ in range(steps):
            with self.autocast():
                self.teacher(pixels * std + mean)
            (pixels.grad,) = torch.autograd.grad(self.statistics.loss(), [pixels])
            optimiser.step()
            with torch.no_grad():
                pixels.copy_(pixels.clamp(-mean / std, (1 - mean) / std))
        return (pixels.detach() * std + mean).clamp(0, 1)
