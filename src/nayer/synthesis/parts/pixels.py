"""Base of DeepInversion and ADI (arXiv 1912.08795), which learn pixels directly, without a generator."""

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from nayer.core.config import Count, Rate, Weight
from nayer.engine import distributed
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL, SyntheticBatch
from nayer.synthesis.parts.inversion import LOSS_NAMES, InversionMethod, Losses, adam, invert
from nayer.synthesis.parts.losses import total_variation
from nayer.synthesis.parts.settings import InversionConfig, Share


class PixelConfig(InversionConfig):
    """Parameters of a method that learns pixels; defaults are DeepInversion's published values for CIFAR-10."""

    steps: Count = 2000
    learning_rate: Rate = 0.05
    """Learning rate of the pixels' Adam, on the teacher's normalised scale."""
    ce_weight: Weight = 1.0
    bn_weight: Weight = 10.0
    adversarial_weight: Weight = 0.0
    """Weight of the competition with the student, which is off during the warm-up."""
    bn_momentum: Share = 1.0
    variation_weight: Weight = 2.5e-5
    """Weight of the total variation of the pixels."""
    norm_weight: Weight = 0.0
    """Weight of the L2 norm of the pixels."""


class PixelMethod(InversionMethod[PixelConfig]):
    """Learns the pixels of every batch from noise, without a generator."""

    loss_names: ClassVar = {**LOSS_NAMES, "variation": "total variation", "norm": "pixel norm"}

    made = 0
    """Images made so far by this process; labels cycle through the classes from batch to batch."""

    def renew(self) -> None:
        """Do nothing: there are no networks."""

    def step(self, student: Classifier) -> SyntheticBatch:
        """Learn a batch of pixels from Gaussian noise."""
        config, images, device = self.config, self.context.teacher.images, self.context.teacher.mean.device
        # Each process takes the next part of the cycle through the classes.
        first = self.made * distributed.size() + config.batch_size * distributed.rank()
        labels = (torch.arange(config.batch_size, device=device) + first) % self.context.classes
        self.made += config.batch_size
        pixels = torch.randn(config.batch_size, images.channels, images.size, images.size, device=device)
        pixels = pixels.contiguous(memory_format=torch.channels_last).requires_grad_()
        optimiser = adam([pixels], config.learning_rate)
        losses_of = partial(self.losses, pixels, labels, student)
        with self.loss.for_one_batch(student):
            make_images, recorder = partial(self.images_of, pixels), self.context.recorder
            return invert(make_images, losses_of, labels, optimiser, [], config.steps, recorder)

    def images_of(self, pixels: Tensor) -> Tensor:
        """Images in [0, 1] from normalised pixels (N, C, H, W), which are clamped to that range in place."""
        mean, std = self.context.teacher.mean, self.context.teacher.std
        with torch.no_grad():
            pixels.copy_(pixels.clamp(-mean / std, (1 - mean) / std))
        return pixels * std + mean

    def losses(self, pixels: Tensor, labels: Tensor, student: Classifier, images: Tensor) -> tuple[Losses, Tensor]:
        """Inversion terms, total variation and norm of the pixels, with the weighted sum, and the teacher's logits."""
        losses, teacher_logits = self.loss(images, labels, student)
        variation, norm = total_variation(pixels), torch.linalg.vector_norm(pixels)
        total = losses[TOTAL] + self.config.variation_weight * variation + self.config.norm_weight * norm
        return {**losses, "variation": variation, "norm": norm, TOTAL: total}, teacher_logits

    def state_dict(self) -> dict[str, Any]:
        """Running statistics, phase, and position in the cycle of classes."""
        return {**self.loss.state_dict(), "made": self.made}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.loss.load_state_dict(state)
        self.made = state["made"]
