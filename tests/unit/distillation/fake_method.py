"""A method that costs nothing and fails on request, to test the distillation loop with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from nayer.models.classifier import Classifier
from nayer.student.losses import distillation_loss
from nayer.synthesis import registry
from nayer.synthesis.method import TOTAL, Method, SynthesisConfig, SyntheticBatch

Spoil = Callable[["FakeMethod", SyntheticBatch], SyntheticBatch | None]
SpoilLoss = Callable[[Tensor], Tensor]


class FakeConfig(SynthesisConfig):
    method: Literal["fake"]


class FakeMethod(Method[FakeConfig]):
    """Random images; `batches` and `student_steps` spoil those of the given numbers, counted from 1 over a run."""

    title, reference = "Fake", "no paper"
    Config = FakeConfig
    loss_names: ClassVar = {"made": "batches made"}
    needs_embeddings = False
    batches: ClassVar[dict[int, Spoil]] = {}
    student_steps: ClassVar[dict[int, SpoilLoss]] = {}

    def __init__(self, context: Any, config: FakeConfig) -> None:
        super().__init__(context, config)
        self.made = self.taught = self.recovered = 0
        self.epochs: list[int] = []

    def start_epoch(self, epoch: int) -> None:
        self.epochs.append(epoch)

    def step(self, student: Classifier) -> SyntheticBatch:
        self.made += 1
        images, size = self.context.teacher.images, self.config.batch_size
        pixels = torch.randint(256, (size, images.channels, images.size, images.size), dtype=torch.uint8)
        labels = torch.arange(size) % self.context.classes
        losses = {"made": torch.tensor(float(self.made)), TOTAL: torch.tensor(1.0)}
        batch = SyntheticBatch(pixels, labels, losses, labels)
        return self.batches.get(self.made, lambda _, made: made)(self, batch) or batch

    def student_loss(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        self.taught += 1
        loss = distillation_loss(teacher_logits, student_logits, 1.0)
        return self.student_steps.get(self.taught, lambda value: value)(loss)

    def recover(self) -> None:
        self.recovered += 1

    def state_dict(self) -> dict[str, Any]:
        return {"made": self.made, "taught": self.taught, "recovered": self.recovered}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.made, self.taught, self.recovered = state["made"], state["taught"], state["recovered"]


@contextmanager
def registered(kind: type[FakeMethod]) -> Iterator[None]:
    """Make a method available under the name "fake"."""
    registry.METHODS["fake"] = kind
    try:
        yield
    finally:
        del registry.METHODS["fake"]
