"""NAYER: noisy layer data generation (arXiv 2310.00258, algorithm 1)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from nayer.config import DistillConfig
from nayer.images import Augmentation, to_uint8
from nayer.models.classifier import Classifier, freeze
from nayer.models.compilation import compile_network
from nayer.models.generator import Generator
from nayer.ranks import average_gradients, take_from_first
from nayer.synthesis.batchnorm import BatchNormStatistics
from nayer.synthesis.losses import adversarial_loss, class_loss
from nayer.synthesis.noisy_layer import NoisyLayer
from nayer.synthesis.synthesizer import Schedule, SyntheticBatch


@contextmanager
def looked_at(student: Classifier) -> Iterator[None]:
    """The student in evaluation mode and without weight gradients, as it was before on leaving."""
    training = student.training
    student.eval().requires_grad_(False)
    try:
        yield
    finally:
        student.train(training).requires_grad_(True)


class Nayer:
    """Generator and noisy layer trained against a frozen teacher, one synthetic batch at a time.

    Args:
        teacher: frozen here; on the device where everything happens.
        embeddings: (classes, D) label-text embeddings.
        config: weights, schedule and augmentation.
        autocast: opens the precision of the forward passes.
        compiled: whether generators are; the teacher comes compiled or not.
    """

    def __init__(
        self,
        teacher: Classifier,
        embeddings: Tensor,
        config: DistillConfig,
        autocast: Callable[[], AbstractContextManager[Any]],
        compiled: bool = False,
    ) -> None:
        self.schedule = Schedule.of(config)
        self.config = config.synthesis
        self.teacher = freeze(teacher)
        self.embeddings = embeddings.to(teacher.mean.device)
        self.augment = Augmentation(config.augmentation.padding, config.augmentation.flip)
        self.autocast = autocast
        self.compiled = compiled
        self.statistics = BatchNormStatistics(teacher.network, config.synthesis.bn_momentum)
        self.adversarial = False
        self.renew()

    def renew(self) -> None:
        """A fresh generator and noisy layer; the running statistics of the BatchNorm term live on."""
        images = self.teacher.images
        device = self.embeddings.device
        self.noise = NoisyLayer(self.embeddings, self.config.latent).to(device)
        generator = Generator(self.config.latent, self.config.generator_width, images.size, images.channels)
        self.generator = generator.to(device).to(memory_format=torch.channels_last)
        if self.compiled:
            compile_network(self.generator)
        for module in (self.noise.norm, self.generator):
            take_from_first(module)

    def recover(self) -> None:
        """A fresh generator, and statistics that no failed one is part of."""
        self.statistics.running = []
        self.renew()

    def start_epoch(self, epoch: int) -> None:
        """Renew the generator at the end of its life and when the adversarial term sets in."""
        warmup = self.schedule.warmup_epochs
        if epoch > 0 and (epoch % self.config.generator_life == 0 or epoch == warmup):
            self.renew()
        self.adversarial = epoch >= warmup

    def step(self, student: Classifier) -> SyntheticBatch:
        """Draw the noisy layer, train it with the generator for some steps, hand out this batch's best images."""
        labels = self.noise.redraw(self.config.batch_size)
        shared = [*self.noise.norm.parameters(), *self.generator.parameters()]
        weights = [self.noise.weight, self.noise.bias, *shared]
        optimiser = torch.optim.Adam(weights, self.config.learning_rate, self.config.betas, fused=True)
        # Both stay on the device: the host never waits inside the loop.
        best_loss = torch.full((), torch.inf, device=labels.device)
        best_images = torch.empty(0)
        with self.statistics.recording(), looked_at(student):
            for step in range(self.config.steps):
                # In fp32 even where bf16 is faster: to convert its large weights takes longer than to use them.
                latent = self.noise()
                with self.autocast():
                    images = self.generator(latent)
                losses, teacher_logits = self.losses(images, labels, student)
                total = losses["synthesis_loss"]
                pixels = images.detach()
                best_images = pixels if step == 0 else torch.where(total < best_loss, pixels, best_images)
                best_loss = torch.minimum(best_loss, total.detach())
                optimiser.zero_grad()
                total.backward()
                average_gradients(shared)
                optimiser.step()
            self.statistics.advance()
        detached = {name: loss.detach() for name, loss in losses.items()}
        return SyntheticBatch(to_uint8(best_images.float()), labels, detached, teacher_logits.detach().argmax(1))

    def losses(self, images: Tensor, labels: Tensor, student: Classifier) -> tuple[dict[str, Tensor], Tensor]:
        """The three terms of L_G for images (N, C, H, W) in [0, 1] with their weighted sum `synthesis_loss`, and the
        teacher's logits.
        """
        config = self.config
        with self.autocast():
            views = self.augment(images)
            teacher_logits = self.teacher(views)
            student_logits = student(views) if self.adversarial else None
        ce = class_loss(teacher_logits, labels)
        bn = self.statistics.loss() if config.bn_weight else torch.zeros_like(ce)
        adversarial = (
            torch.zeros_like(ce) if student_logits is None else adversarial_loss(teacher_logits, student_logits)
        )
        total = config.ce_weight * ce + config.bn_weight * bn + config.adversarial_weight * adversarial
        return {"ce": ce, "bn": bn, "adversarial": adversarial, "synthesis_loss": total}, teacher_logits

    def state_dict(self) -> dict[str, Any]:
        """Generator, noisy layer, running statistics, the classes still to come, and the phase."""
        return {
            "generator": self.generator.state_dict(),
            "norm": self.noise.norm.state_dict(),
            "order": self.noise.order,
            "running": self.statistics.running,
            "adversarial": self.adversarial,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.generator.load_state_dict(state["generator"])
        self.noise.norm.load_state_dict(state["norm"])
        self.noise.order = state["order"].to(self.embeddings.device)
        self.statistics.running = [statistic.to(self.embeddings.device) for statistic in state["running"]]
        self.adversarial = state["adversarial"]
