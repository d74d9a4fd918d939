"""DAFL: a generator whose images look real to the teacher (Chen et al., ICCV 2019, arXiv 1904.01186)."""

from contextlib import AbstractContextManager
from math import log
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from nayer.core.config import Count, Rate, Weight
from nayer.models.classifier import Classifier
from nayer.synthesis.method import Context
from nayer.synthesis.parts.alternation import AlternatingMethod
from nayer.synthesis.parts.features import LayerInputs, as_given, check_head, head_of
from nayer.synthesis.parts.losses import activation_loss, balance_loss, class_loss, weighted
from nayer.synthesis.parts.settings import Betas, GeneratorConfig


class DaflConfig(GeneratorConfig):
    """DAFL's synthesis (section 3); the defaults are the published ones."""

    method: Literal["dafl"]
    steps: Count = 1
    latent: Count = 1000
    generator_width: Count = 64
    learning_rate: Rate = 0.02
    betas: Betas = (0.9, 0.999)
    one_hot_weight: Weight = 1.0
    """Weight of the one-hot term, by which the teacher should be certain of the class of each image."""
    activation_weight: Weight = 0.1
    """Weight of the activation term, by which the teacher's features should be large; 0 admits any last layer."""
    balance_weight: Weight = 5.0
    """Weight of the balance term, by which all classes should be equally frequent in a batch."""


class Dafl(AlternatingMethod[DaflConfig]):
    """A generator that learns from the teacher alone: what the teacher is certain of should resemble its data."""

    title = "DAFL"
    reference = "arXiv 1904.01186"
    Config = DaflConfig
    loss_names: ClassVar = {"one_hot": "one-hot", "activation": "activation", "balance": "class balance"}
    alternates = 1

    def __init__(self, context: Context, config: DaflConfig) -> None:
        super().__init__(context, config)
        head = head_of(context.teacher)
        self.features = LayerInputs([head] if head else [], as_given)

    @classmethod
    def check(cls, config: DaflConfig, teacher: Classifier) -> list[str]:
        """Refuse a teacher without a linear head, whose inputs the activation term needs."""
        return [*super().check(config, teacher), *check_head(teacher, config.activation_weight)]

    def watching(self, student: Classifier) -> AbstractContextManager[Any]:
        """Record the teacher's features."""
        return self.features.recording()

    def losses(self, images: Tensor, student: Classifier) -> tuple[dict[str, Tensor], Tensor]:
        """One-hot, activation and balance terms (section 3.2)."""
        config = self.config
        with self.context.autocast():
            logits = self.context.teacher(self.context.augment(images))
        one_hot = class_loss(logits, logits.detach().argmax(1))
        activation = activation_loss(self.features.found[0]) if config.activation_weight else torch.zeros_like(one_hot)
        balance = balance_loss(logits) / log(10)  # published with a decimal logarithm
        weights = (config.one_hot_weight, config.activation_weight, config.balance_weight)
        return weighted({"one_hot": one_hot, "activation": activation, "balance": balance}, weights), logits
