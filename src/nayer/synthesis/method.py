"""The contract of a method that makes images from a teacher: docs/add-a-method.md shows one of twenty lines."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor

from nayer.core.config import BatchSize, Config, Count
from nayer.core.images import Augmentation
from nayer.engine.recording import Recorder
from nayer.models.classifier import Classifier

TOTAL = "synthesis_loss"
"""The weighted sum of a method's terms."""
StudentLoss = Callable[[Tensor, Tensor], Tensor]
"""(teacher logits, student logits), each (N, classes) -> scalar."""


class SynthesisConfig(Config):
    """What every method is set by. A method adds its own, with the published values as defaults."""

    method: str
    """Its name in the registry."""
    batch_size: BatchSize
    """Images made together."""
    steps: Count
    """Optimiser steps per synthetic batch (g_steps)."""
    batches: Count
    """Synthetic batches per epoch after the warm-up (g_loops)."""
    warmup_batches: Count
    """Synthetic batches per epoch of the warm-up."""


@dataclass(frozen=True)
class Schedule:
    """How synthetic batches and student steps take turns: `epochs` counts those of distillation, after the warm-up.

    An epoch has one turn, all of its batches and then all of its student steps; of a method that alternates, one turn
    per batch, each with its share of the student steps. In the last `closing_epochs` no more images are made.
    """

    warmup_epochs: int
    epochs: int
    warmup_batches: int
    batches: int
    batch_size: int
    steps: int
    """Optimiser steps per synthetic batch."""
    student_steps: int
    """Per epoch after the warm-up."""
    alternates: bool = False
    closing_epochs: int = 0

    @property
    def total_epochs(self) -> int:
        """Warm-up and distillation."""
        return self.warmup_epochs + self.epochs

    @property
    def making_epochs(self) -> int:
        """Epochs of distillation in which images are made."""
        return self.epochs - self.closing_epochs

    @property
    def images(self) -> int:
        """All images that the schedule makes."""
        return self.batch_size * (self.warmup_epochs * self.warmup_batches + self.making_epochs * self.batches)

    def warms_up(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, only makes images."""
        return epoch < self.warmup_epochs

    def batches_in(self, epoch: int) -> int:
        """Synthetic batches of an epoch."""
        if epoch >= self.warmup_epochs + self.making_epochs:
            return 0
        return self.warmup_batches if self.warms_up(epoch) else self.batches

    def student_steps_in(self, epoch: int) -> int:
        """Student steps of an epoch."""
        return 0 if self.warms_up(epoch) else self.student_steps

    def turns_in(self, epoch: int) -> int:
        """How often synthesis and student take turns in an epoch."""
        return self.batches_in(epoch) if self.alternates else 1


@dataclass(frozen=True, eq=False)
class Context:
    """What a method works with, all of it on the device where everything happens."""

    teacher: Classifier
    """Frozen; compiled or not."""
    embeddings: Tensor | None
    """Label-text embeddings (classes, D); None for a method that needs none."""
    schedule: Schedule
    augment: Augmentation
    autocast: Callable[[], AbstractContextManager[Any]]
    """Opens the precision of the forward passes."""
    compiled: bool = False
    """Whether a method compiles its own networks."""
    recorder: Recorder = field(default_factory=Recorder)
    """Of steps on a GPU."""

    @property
    def classes(self) -> int:
        """Of the teacher."""
        return len(self.teacher.class_names)


@dataclass(frozen=True, eq=False)
class SyntheticBatch:
    """What one `step` made."""

    images: Tensor
    """uint8 (N, C, H, W), before augmentation."""
    labels: Tensor
    """The classes (N,) they were made for."""
    losses: dict[str, Tensor]
    """The terms of the last step by name, unweighted, and their weighted sum as TOTAL: scalars on the device."""
    predictions: Tensor
    """The classes (N,) that the teacher saw."""


Settings = TypeVar("Settings", bound=SynthesisConfig)


class Method(ABC, Generic[Settings]):
    """A method of data-free image synthesis; its parameters are a SynthesisConfig of its own."""

    title: ClassVar[str]
    """Its name as papers write it."""
    reference: ClassVar[str]
    """The paper."""
    Config: ClassVar[type[SynthesisConfig]]
    loss_names: ClassVar[Mapping[str, str]]
    """The terms of its loss: the name in histories, and what a figure calls it."""
    needs_embeddings: ClassVar[bool] = True
    keeps_memory: ClassVar[bool] = True
    """Whether the student learns from all images made so far, or from the newest batch alone."""
    alternates: ClassVar[int] = 0
    """Student steps that published runs take after each batch; 0: the student learns after all batches of an epoch."""
    student_loss: StudentLoss | None = None
    """Of its own; None takes the distillation loss of the student's parameters."""

    def __init__(self, context: Context, config: Settings) -> None:
        self.context, self.config = context, config

    @classmethod
    def check(cls, config: Settings, teacher: Classifier) -> list[str]:
        """Refuse, by an InputError, a teacher that the method cannot work with; returns warnings."""
        return []

    @classmethod
    def terms(cls, config: Settings) -> Mapping[str, str]:
        """The terms that these parameters have: those of `loss_names`, unless a method says otherwise."""
        return cls.loss_names

    def start_epoch(self, epoch: int) -> None:
        """Called before the first batch of an epoch, counted from 0."""

    @abstractmethod
    def step(self, student: Classifier) -> SyntheticBatch:
        """Make one batch; the student is looked at, never changed."""

    def learning(self, student: Classifier) -> AbstractContextManager[Any]:
        """Around a student step, in which teacher and student are shown the same views: what `student_loss` needs."""
        return nullcontext()

    @abstractmethod
    def recover(self) -> None:
        """After a failure: fresh networks, and nothing left of what the old ones spoilt."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs to make the same images."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
