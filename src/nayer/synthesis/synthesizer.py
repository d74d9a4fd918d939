"""What the distillation loop asks of a method that makes images from a teacher."""

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from nayer.config import DistillConfig
from nayer.models.classifier import Classifier


@dataclass(frozen=True)
class Schedule:
    """How often a method makes images: `epochs` counts those of distillation, after `warmup_epochs`."""

    warmup_epochs: int
    epochs: int
    warmup_batches: int
    batches: int
    batch_size: int
    steps: int
    """Optimiser steps per synthetic batch."""

    @classmethod
    def of(cls, config: DistillConfig) -> "Schedule":
        """What the parameters say."""
        each = config.synthesis
        return cls(config.warmup_epochs, config.epochs, each.warmup_batches, each.batches, each.batch_size, each.steps)

    @property
    def total_epochs(self) -> int:
        """Warm-up and distillation."""
        return self.warmup_epochs + self.epochs

    @property
    def images(self) -> int:
        """All images that the schedule makes."""
        return self.batch_size * (self.warmup_epochs * self.warmup_batches + self.epochs * self.batches)

    def batches_in(self, epoch: int) -> int:
        """Synthetic batches of an epoch, counted from 0."""
        return self.warmup_batches if epoch < self.warmup_epochs else self.batches


@dataclass(frozen=True)
class SyntheticBatch:
    """uint8 images (N, C, H, W) with labels (N,), and how the last step was."""

    images: Tensor
    labels: Tensor
    losses: dict[str, Tensor]
    """By name, as device scalars."""
    answers: Tensor
    """The classes (N,) that the teacher saw."""


class Synthesizer(Protocol):
    """A method of data-free image synthesis."""

    schedule: Schedule

    def start_epoch(self, epoch: int) -> None:
        """Called before the first batch of an epoch."""
        ...

    def recover(self) -> None:
        """After a failure: a fresh generator, and nothing left of what the old one spoilt."""
        ...

    def step(self, student: Classifier) -> SyntheticBatch:
        """Make one batch; the student is looked at, never changed."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs to make the same images."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        ...
