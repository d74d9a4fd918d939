"""Dead leaves, brought nearer to a teacher's training data by some optimiser steps on their pixels.

The target is the running statistics of its BatchNorm layers, as in DeepInversion (arXiv 1912.08795, section 3.2), which
begins with noise and takes thousands of steps. Pictures that already have edges and scales need only a handful.
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
"""Learning rate of the pixels' Adam, on the teacher's normalised scale, the same as DeepInversion's."""
# Pictures matched at once: 256 of 32 x 32, fewer larger ones, as a step keeps the outputs of all layers of the teacher.
PIXELS, LEAST = 2**18, 16


class MatchedLeaves:
    """Dead leaves matched to one teacher; for a teacher without BatchNorm they stay as drawn."""

    def __init__(self, teacher: Classifier, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext) -> None:
        self.teacher, self.autocast = teacher, autocast
        self.statistics = BatchNormStatistics(layers_with_statistics(teacher), momentum=1.0)

    def draw(self, count: int, steps: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images (count, C, H, W) in [0, 1], the teacher's logits on them (count, classes), and the BatchNorm term.

        A large number is matched in parts, each of which should have the mean and variance of the layers.
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
        """Take `steps` steps of Adam on the pixels (N, C, H, W), clamping them to [0, 1] after each."""
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
