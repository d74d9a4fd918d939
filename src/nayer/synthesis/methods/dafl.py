"""DAFL: a generator whose images the teacher takes for real ones (Chen et al., ICCV 2019, arXiv 1904.01186)."""

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
    """Of the term by which the teacher should be sure of its class."""
    activation_weight: Weight = 0.1
    """Of the term by which the teacher's features should be strong."""
    balance_weight: Weight = 5.0
    """Of the term by which all classes should come equally often."""


class Dafl(AlternatingMethod[DaflConfig]):
    """The generator never asks the student: what the teacher is sure of is what its data looked like."""

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
        """The activation term needs features before a linear head."""
        return [*super().check(config, teacher), *check_head(teacher, config.activation_weight)]

    def watching(self, student: Classifier) -> AbstractContextManager[Any]:
        """The teacher's features."""
        return self.features.recording()

    def losses(self, images: Tensor, student: Classifier) -> tuple[dict[str, Tensor], Tensor]:
        """One-hot, activation and balance term (section 3.2)."""
        config = self.config
        with self.context.autocast():
            logits = self.context.teacher(self.context.augment(images))
        one_hot = class_loss(logits, logits.detach().argmax(1))
        activation = activation_loss(self.features.found[0]) if config.activation_weight else torch.zeros_like(one_hot)
        balance = balance_loss(logits) / log(10)  # published with a decimal logarithm
        weights = (config.one_hot_weight, config.activation_weight, config.balance_weight)
        return weighted({"one_hot": one_hot, "activation": activation, "balance": balance}, weights), logits
