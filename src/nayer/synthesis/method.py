"""The contract of a method that makes images from a teacher; docs/add-a-method.md walks through a small example."""

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
"""Key of the weighted sum of a method's loss terms."""
StudentLoss = Callable[[Tensor, Tensor], Tensor]
"""Loss of the student: (teacher logits, student logits), each (N, classes), -> scalar."""


class SynthesisConfig(Config):
    """Parameters of every method; each method adds its own, with the published values as defaults."""

    method: str
    """Name of the synthesis method."""
    batch_size: BatchSize
    """Images per synthetic batch."""
    steps: Count
    """Optimiser steps per synthetic batch (g_steps)."""
    batches: Count
    """Synthetic batches per epoch after the warm-up (g_loops)."""
    warmup_batches: Count
    """Synthetic batches per epoch of the warm-up."""


@dataclass(frozen=True)
class Schedule:
    """Order of synthetic batches and student steps; `epochs` counts those of distillation, after the warm-up.

    An epoch is one turn: all of its batches, then all of its student steps. With a method that alternates, it has one
    turn per batch, each with its share of the student steps. No images are made in the last `closing_epochs`.
    """

    warmup_epochs: int
    epochs: int
    warmup_batches: int
    batches: int
    batch_size: int
    steps: int
    """Optimiser steps per synthetic batch."""
    student_steps: int
    """Student steps per epoch after the warm-up."""
    alternates: bool = False
    closing_epochs: int = 0

    @property
    def total_epochs(self) -> int:
        """Epochs of warm-up and distillation together."""
        return self.warmup_epochs + self.epochs

    @property
    def making_epochs(self) -> int:
        """Distillation epochs in which images are made."""
        return self.epochs - self.closing_epochs

    @property
    def images(self) -> int:
        """Number of synthetic images made over the whole schedule."""
        return self.batch_size * (self.warmup_epochs * self.warmup_batches + self.making_epochs * self.batches)

    def warms_up(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, belongs to the warm-up, in which the student does not learn."""
        return epoch < self.warmup_epochs

    def batches_in(self, epoch: int) -> int:
        """Number of synthetic batches in an epoch, counted from 0."""
        if epoch >= self.warmup_epochs + self.making_epochs:
            return 0
        return self.warmup_batches if self.warms_up(epoch) else self.batches

    def student_steps_in(self, epoch: int) -> int:
        """Number of student steps in an epoch, counted from 0."""
        return 0 if self.warms_up(epoch) else self.student_steps

    def turns_in(self, epoch: int) -> int:
        """Number of turns (synthesis, then student steps) in an epoch, counted from 0."""
        return self.batches_in(epoch) if self.alternates else 1


@dataclass(frozen=True, eq=False)
class Context:
    """Everything that a method works with; its tensors are all on the device of the run."""

    teacher: Classifier
    """Frozen teacher, compiled or not."""
    embeddings: Tensor | None
    """Label embeddings (classes, D); None for a method that needs none."""
    schedule: Schedule
    augment: Augmentation
    autocast: Callable[[], AbstractContextManager[Any]]
    """Context manager that sets the precision of forward passes."""
    compiled: bool = False
    """Whether the method should compile its own networks."""
    recorder: Recorder = field(default_factory=Recorder)
    """Records optimiser steps as CUDA graphs on a GPU; the default runs them as they are."""

    @property
    def classes(self) -> int:
        """Number of the teacher's classes."""
        return len(self.teacher.class_names)


@dataclass(frozen=True, eq=False)
class SyntheticBatch:
    """The images that one `step` made, with their labels and losses."""

    images: Tensor
    """uint8 (N, C, H, W), before augmentation."""
    labels: Tensor
    """Classes (N,) that the images were made for."""
    losses: dict[str, Tensor]
    """Unweighted loss terms of the last step by name, and their weighted sum as TOTAL: scalars on the device."""
    predictions: Tensor
    """Classes (N,) that the teacher predicted in the last step."""


Settings = TypeVar("Settings", bound=SynthesisConfig)


class Method(ABC, Generic[Settings]):
    """A method of data-free image synthesis, with its own subclass of SynthesisConfig as parameters."""

    title: ClassVar[str]
    """Name of the method as papers write it."""
    reference: ClassVar[str]
    """The paper that describes the method."""
    Config: ClassVar[type[SynthesisConfig]]
    loss_names: ClassVar[Mapping[str, str]]
    """Terms of the loss: from the name in histories to the label in figures."""
    needs_embeddings: ClassVar[bool] = True
    keeps_memory: ClassVar[bool] = True
    """Whether the student learns from all images in the memory, rather than from the newest batch alone."""
    alternates: ClassVar[int] = 0
    """Student steps after each batch in published runs; 0 if the student learns after all batches of an epoch."""
    draws: ClassVar[bool] = False
    """Whether images are drawn and not learnt: the teacher may then put them all in one class, and nothing is wrong."""
    student_loss: StudentLoss | None = None
    """Student loss specific to the method; None uses the distillation loss with the temperature of the parameters."""

    def __init__(self, context: Context, config: Settings) -> None:
        self.context, self.config = context, config

    @classmethod
    def check(cls, config: Settings, teacher: Classifier) -> list[str]:
        """Raise an InputError if the method cannot work with this teacher; returns warnings."""
        return []

    @classmethod
    def terms(cls, config: Settings) -> Mapping[str, str]:
        """Loss terms that are computed with these parameters, by name; all of `loss_names` unless overridden."""
        return cls.loss_names

    def start_epoch(self, epoch: int) -> None:
        """Prepare for an epoch, counted from 0; called before its first batch."""

    @abstractmethod
    def step(self, student: Classifier) -> SyntheticBatch:
        """Make one batch; the student may be evaluated but is never changed."""

    def learning(self, student: Classifier) -> AbstractContextManager[Any]:
        """Context around a student step, to record what `student_loss` needs from the passes on the shared views."""
        return nullcontext()

    @abstractmethod
    def recover(self) -> None:
        """Start over after a failure, with fresh networks and without any state that may be corrupted."""

    @property
    def kept_bytes(self) -> int:
        """Bytes of what it keeps between batches, once that is full; for the estimate, where it counts."""
        return 0

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs to make the same images."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
