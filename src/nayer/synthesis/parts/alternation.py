"""Base of DAFL, DFQ and ZSKT: one generator for the whole run, trained in turn with the student."""

from abc import abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor

from nayer.core.images import to_uint8
from nayer.engine.distributed import average_gradients, broadcast_module
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL, Context, Method, SyntheticBatch
from nayer.synthesis.parts.generator import build_generator, upsamplings
from nayer.synthesis.parts.losses import divergence_loss
from nayer.synthesis.parts.settings import GeneratorConfig

Settings = TypeVar("Settings", bound=GeneratorConfig)


class AlternatingMethod(Method[Settings]):
    """Trains the generator on fresh noise at every step; the student learns from the newest batch alone."""

    needs_embeddings = False
    keeps_memory = False

    def __init__(self, context: Context, config: Settings) -> None:
        super().__init__(context, config)
        self.recover()

    @classmethod
    def check(cls, config: Settings, teacher: Classifier) -> list[str]:
        """Refuse image sizes that the generator cannot make."""
        upsamplings(teacher.images.size)
        return []

    @abstractmethod
    def losses(self, images: Tensor, student: Classifier) -> tuple[dict[str, Tensor], Tensor]:
        """Loss terms for images (N, C, H, W) in [0, 1] with their weighted sum, and the teacher's logits."""

    def watching(self, student: Classifier) -> AbstractContextManager[Any]:
        """Context around the steps of a batch, to record what `losses` needs."""
        return nullcontext()

    def student_loss(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        """KL(T || S) at temperature 1, whatever the student's parameters say; subclasses may add terms."""
        return divergence_loss(teacher_logits, student_logits)

    def recover(self) -> None:
        """Set up a fresh generator with its optimiser."""
        self.generator = build_generator(self.context, self.config)
        broadcast_module(self.generator)
        self.optimiser = torch.optim.Adam(
            self.generator.parameters(), self.config.learning_rate, self.config.betas, fused=True
        )

    def step(self, student: Classifier) -> SyntheticBatch:
        """Train the generator on fresh noise; returns the images of the last step, labelled by the teacher."""
        shape, device = (self.config.batch_size, self.config.latent), self.context.teacher.mean.device
        with self.watching(student):
            for _ in range(self.config.steps):
                latent = torch.randn(shape, device=device)
                with self.context.autocast():
                    images = self.generator(latent)
                losses, teacher_logits = self.losses(images, student)
                self.optimiser.zero_grad()
                losses[TOTAL].backward()
                average_gradients(self.generator.parameters())
                self.optimiser.step()
        detached = {name: loss.detach() for name, loss in losses.items()}
        predictions = teacher_logits.detach().argmax(1)
        return SyntheticBatch(to_uint8(images.detach().float()), predictions, detached, predictions)

    def state_dict(self) -> dict[str, Any]:
        """The generator and its optimiser."""
        return {"generator": self.generator.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.generator.load_state_dict(state["generator"])
        self.optimiser.load_state_dict(state["optimiser"])
