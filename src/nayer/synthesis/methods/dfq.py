"""DFQ: an adversarial generator that matches the teacher's statistics (Choi et al., CVPRW 2020, arXiv 2005.04136)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

import torch
from torch import Tensor

from nayer.core.config import Count, Rate, Weight
from nayer.models.classifier import Classifier
from nayer.synthesis.method import Context
from nayer.synthesis.parts.alternation import AlternatingMethod
from nayer.synthesis.parts.batchnorm import BatchNormStatistics, check_batchnorm, layers_with_statistics
from nayer.synthesis.parts.inversion import frozen
from nayer.synthesis.parts.losses import balance_loss, class_loss, divergence_loss, weighted
from nayer.synthesis.parts.settings import Betas, GeneratorConfig


class DfqConfig(GeneratorConfig):
    """DFQ's synthesis (section 3.2); the defaults are those of CMI's authors in their comparison on CIFAR-10."""

    method: Literal["dfq"]
    steps: Count = 1
    latent: Count = 256
    generator_width: Count = 64
    learning_rate: Rate = 1e-3
    betas: Betas = (0.5, 0.999)
    adversarial_weight: Weight = 1.0
    """Weight of the adversarial term, which seeks images on which student and teacher differ."""
    bn_weight: Weight = 1.0
    """Weight of the BatchNorm term; 0 admits a teacher without BatchNorm2d."""
    one_hot_weight: Weight = 1.0
    """Weight of the one-hot term, by which the teacher should be certain of the class of each image."""
    balance_weight: Weight = 20.0
    """Weight of the balance term, by which all classes should be equally frequent in a batch."""


class Dfq(AlternatingMethod[DfqConfig]):
    """A generator of images as hard for the student as the teacher's BatchNorm statistics allow."""

    title = "DFQ"
    reference = "arXiv 2005.04136"
    Config = DfqConfig
    loss_names: ClassVar = {
        "adversarial": "adversarial",
        "bn": "BatchNorm statistics",
        "one_hot": "one-hot",
        "balance": "class balance",
    }
    alternates = 10

    def __init__(self, context: Context, config: DfqConfig) -> None:
        super().__init__(context, config)
        self.statistics = BatchNormStatistics(layers_with_statistics(context.teacher), momentum=1.0)

    @classmethod
    def check(cls, config: DfqConfig, teacher: Classifier) -> list[str]:
        """Refuse a teacher without BatchNorm2d, unless the BatchNorm term has weight 0."""
        return [*super().check(config, teacher), *check_batchnorm(teacher, config.bn_weight)]

    @contextmanager
    def watching(self, student: Classifier) -> Iterator[None]:
        """Record the teacher's statistics, and freeze the student, which is evaluated but never changed."""
        with self.statistics.recording(), frozen(student):
            yield

    def losses(self, images: Tensor, student: Classifier) -> tuple[dict[str, Tensor], Tensor]:
        """Adversarial, BatchNorm, one-hot and balance terms."""
        config = self.config
        with self.context.autocast():
            views = self.context.augment(images)
            logits, student_logits = self.context.teacher(views), student(views)
        one_hot = class_loss(logits, logits.detach().argmax(1))
        terms = {
            "adversarial": -divergence_loss(logits, student_logits),
            "bn": self.statistics.loss() if config.bn_weight else torch.zeros_like(one_hot),
            "one_hot": one_hot,
            "balance": balance_loss(logits),
        }
        weights = (config.adversarial_weight, config.bn_weight, config.one_hot_weight, config.balance_weight)
        return weighted(terms, weights), logits
