"""FastDFKD: a meta-learned generator that needs few steps per batch (Fang et al., AAAI 2022, arXiv 2112.15278)."""

from typing import Any, Literal

import torch
from torch import Tensor

from nayer.core.config import Count, Rate, Weight
from nayer.engine.distributed import broadcast_module
from nayer.models.classifier import Classifier
from nayer.synthesis.method import SyntheticBatch
from nayer.synthesis.parts.generator import build_generator
from nayer.synthesis.parts.inversion import InversionMethod, adam, invert
from nayer.synthesis.parts.settings import Betas, GeneratorConfig, InversionConfig, Share


class FastDfkdConfig(GeneratorConfig, InversionConfig):
    """FastDFKD's synthesis; the defaults are those published for FastDFKD-10 with wide residual networks."""

    method: Literal["fast_dfkd"]
    steps: Count = 10
    latent: Count = 256
    generator_width: Count = 64
    learning_rate: Rate = 2e-3
    """Learning rate of the generator's steps on one batch; the meta-learner's is `steps` times as large."""
    latent_rate: Rate = 0.01
    """Learning rate of the latent vectors of one batch."""
    betas: Betas = (0.5, 0.999)
    ce_weight: Weight = 0.4
    bn_weight: Weight = 10.0
    adversarial_weight: Weight = 1.1
    bn_momentum: Share = 0.1


class FastDfkd(InversionMethod[FastDfkdConfig]):
    """Starts every batch from one common generator, which first-order MAML updates with the gradients on the way."""

    title = "FastDFKD"
    reference = "arXiv 2112.15278"
    Config = FastDfkdConfig

    def renew(self) -> None:
        """Set up a fresh common generator with its optimiser, and the copy that learns a batch."""
        self.generator = build_generator(self.context, self.config, compiled=False)
        broadcast_module(self.generator)
        self.fast = build_generator(self.context, self.config)
        rate = self.config.learning_rate * self.config.steps
        self.meta = torch.optim.Adam(self.generator.parameters(), rate, self.config.betas, fused=True)

    def step(self, student: Classifier) -> SyntheticBatch:
        """Learn a batch from the common generator and fresh latent vectors, then move the common generator."""
        config, device = self.config, self.context.teacher.mean.device
        labels = torch.randint(self.context.classes, (config.batch_size,), device=device)
        latent = torch.randn(config.batch_size, config.latent, device=device, requires_grad=True)
        self.fast.load_state_dict(self.generator.state_dict())
        shared = list(self.fast.parameters())
        groups: list[dict[str, Any]] = [{"params": shared}, {"params": [latent], "lr": config.latent_rate}]
        optimiser = adam(groups, config.learning_rate, config.betas)
        self.meta.zero_grad()

        def make_images() -> Tensor:
            with self.context.autocast():
                images: Tensor = self.fast(latent)
            return images

        def losses_of(images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
            return self.loss(images, labels, student)

        with self.loss.for_one_batch(student):
            batch = invert(
                make_images,
                losses_of,
                labels,
                optimiser,
                shared,
                config.steps,
                self.context.recorder,
                self.add_gradients,
            )
        self.meta.step()
        return batch

    def add_gradients(self) -> None:
        """Add the current gradients to the common generator's: first-order MAML sums them over all steps of a batch."""
        for common, fast in zip(self.generator.parameters(), self.fast.parameters(), strict=True):
            if fast.grad is not None:
                common.grad = fast.grad.clone() if common.grad is None else common.grad.add_(fast.grad)

    def state_dict(self) -> dict[str, Any]:
        """The common generator, its optimiser, running statistics, and the phase."""
        return {
            "generator": self.generator.state_dict(),
            "meta": self.meta.state_dict(),
            "loss": self.loss.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.generator.load_state_dict(state["generator"])
        self.meta.load_state_dict(state["meta"])
        self.loss.load_state_dict(state["loss"])
