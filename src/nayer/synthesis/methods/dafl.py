"""DAFL: a generator whose images the teacher takes for real ones (Chen et al., ICCV 2019, arXiv 1904.01186)."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from nayer.core.config import Count, Rate, Weight
from nayer.core.images import to_uint8
from nayer.engine.distributed import average_gradients, broadcast_module
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL, Context, Method, SyntheticBatch
from nayer.synthesis.parts.features import HeadInputs, check_head
from nayer.synthesis.parts.generator import build_generator, upsamplings
from nayer.synthesis.parts.losses import activation_loss, balance_loss, class_loss
from nayer.synthesis.parts.settings import Betas, GeneratorConfig


class DaflConfig(GeneratorConfig):
    """DAFL's synthesis (section 3); the defaults are the published ones. Published, too: `steps: 1`."""

    method: Literal["dafl"]
    latent: Count = 1000
    generator_width: Count = 64
    learning_rate: Rate = 0.02
    betas: Betas = (0.9, 0.999)
    one_hot_weight: Weight = 1.0
    """Of the term by which the teacher should be sure of its class."""
    activation_weight: Weight = 0.1
    """Of the term by which the teacher's features should be strong."""
    balance_weight: Weight = 5.0
    """Of the term by which all classes should come equally often."""


class Dafl(Method[DaflConfig]):
    """One generator for the whole run, trained in turn with the student, which sees its newest batch only."""

    title = "DAFL"
    reference = "arXiv 1904.01186"
    Config = DaflConfig
    loss_names: ClassVar = {"one_hot": "one-hot", "activation": "activation", "balance": "class balance"}
    needs_embeddings = False
    keeps_memory = False
    alternates = True

    def __init__(self, context: Context, config: DaflConfig) -> None:
        super().__init__(context, config)
        self.features = HeadInputs(context.teacher.network)
        self.recover()

    @classmethod
    def check(cls, config: DaflConfig, teacher: Classifier) -> list[str]:
        """The generator has sizes that it can make, and the activation term needs features before a linear head."""
        upsamplings(teacher.images.size)
        return check_head(teacher, config.activation_weight)

    def recover(self) -> None:
        """A fresh generator with its optimiser."""
        self.generator = build_generator(self.context, self.config)
        broadcast_module(self.generator)
        self.optimiser = torch.optim.Adam(
            self.generator.parameters(), self.config.learning_rate, self.config.betas, fused=True
        )

    def step(self, student: Classifier) -> SyntheticBatch:
        """Train the generator on fresh noise, hand out the images of its last step."""
        shape, device = (self.config.batch_size, self.config.latent), self.context.teacher.mean.device
        with self.features.recording():
            for _ in range(self.config.steps):
                latent = torch.randn(shape, device=device)
                with self.context.autocast():
                    images = self.generator(latent)
                losses, predictions = self.losses(images)
                self.optimiser.zero_grad()
                losses[TOTAL].backward()
                average_gradients(self.generator.parameters())
                self.optimiser.step()
        detached = {name: loss.detach() for name, loss in losses.items()}
        return SyntheticBatch(to_uint8(images.detach().float()), predictions, detached, predictions)

    def losses(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The three terms for images (N, C, H, W) in [0, 1] with their weighted sum, and the classes (N,) seen."""
        config = self.config
        with self.context.autocast():
            logits = self.context.teacher(self.context.augment(images))
        predictions = logits.detach().argmax(1)
        one_hot, balance = class_loss(logits, predictions), balance_loss(logits)
        activation = activation_loss(self.features.last) if config.activation_weight else torch.zeros_like(one_hot)
        total = (
            config.one_hot_weight * one_hot + config.activation_weight * activation + config.balance_weight * balance
        )
        return {"one_hot": one_hot, "activation": activation, "balance": balance, TOTAL: total}, predictions

    def state_dict(self) -> dict[str, Any]:
        """The generator and its optimiser."""
        return {"generator": self.generator.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.generator.load_state_dict(state["generator"])
        self.optimiser.load_state_dict(state["optimiser"])
