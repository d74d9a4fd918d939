"""Priors: terms on a teacher's features that stand in for the BatchNorm term where it has no BatchNorm.

Each is a scalar, lowest for the images that it rates as most plausible.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.synthesis.parts.features import LayerInputs, as_given, head_of, inputs_by_layer
from nayer.synthesis.parts.losses import activation_loss, balance_loss

PriorName = Literal["none", "activation", "layer_norm"]
# Weight of the balance term relative to the activation term; DAFL's weights are 5 and 0.1.
BALANCE = 50.0


def channels_first(layer: nn.Module) -> bool:
    """Whether a LayerNorm takes (N, C, H, W): LayerNorm2d of timm and torchvision, or `data_format` of transformers."""
    return "2d" in type(layer).__name__ or getattr(layer, "data_format", "") == "channels_first"


def channels_last(features: Tensor, layer: nn.Module) -> Tensor:
    """Inputs of a LayerNorm, (N, C, H, W), (N, H, W, C) or (N, tokens, C), as (N, ..., C) in fp32."""
    return (features.movedim(1, -1) if channels_first(layer) else features).float()


class Prior:
    """The empty prior, which the others extend: records the teacher's features, then rates them and the logits."""

    title = "nothing"
    """What the prior asks of images, in words for people."""

    def __init__(self, teacher: Classifier) -> None:
        self.inputs = LayerInputs(self.layers(teacher), as_given)

    @staticmethod
    def layers(teacher: Classifier) -> list[nn.Module]:
        """Layers whose inputs the prior records."""
        return []

    @classmethod
    def missing(cls, teacher: Classifier) -> str | None:
        """What the teacher lacks for this prior, as a phrase for messages; None if nothing."""
        return None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the teacher's features in forward passes inside this block."""
        with self.inputs.recording():
            yield

    def loss(self, teacher_logits: Tensor) -> Tensor:
        """The term for the forward pass just recorded and its logits (N, classes)."""
        return teacher_logits.new_zeros(())


class Activation(Prior):
    """Large features before the head, and all classes equally frequent (DAFL, section 3.2)."""

    title = "strong features of balanced classes"

    @staticmethod
    def layers(teacher: Classifier) -> list[nn.Module]:
        """The linear head, if there is one."""
        head = head_of(teacher)
        return [head] if head else []

    @classmethod
    def missing(cls, teacher: Classifier) -> str | None:
        """A linear head, if the teacher has none."""
        return None if cls.layers(teacher) else "a linear layer at its end"

    def loss(self, teacher_logits: Tensor) -> Tensor:
        """Activation term plus BALANCE times the balance term."""
        return activation_loss(self.inputs.found[0]) + BALANCE * balance_loss(teacher_logits)


class LayerNormStatistics(Prior):
    """Inputs of LayerNorms, once normalised, with mean 0 and variance 1 per channel over all images and positions."""

    title = "inputs of LayerNorm like a Gaussian's"

    @staticmethod
    def layers(teacher: Classifier) -> list[nn.Module]:
        """All LayerNorms that a forward pass uses."""
        return list(inputs_by_layer(teacher, [each for each in teacher.modules() if isinstance(each, nn.LayerNorm)]))

    @classmethod
    def missing(cls, teacher: Classifier) -> str | None:
        """A LayerNorm, if the teacher has none."""
        return None if cls.layers(teacher) else "a LayerNorm"

    def loss(self, teacher_logits: Tensor) -> Tensor:
        """Mean over layers of the mean over channels of mean^2 + (variance - 1)^2."""
        terms = []
        for place, layer in enumerate(self.inputs.layers):
            values = channels_last(self.inputs.found[place], layer)
            normal = F.layer_norm(values, values.shape[-1:]).flatten(0, -2)
            terms.append((normal.mean(0).square() + (normal.var(0, correction=0) - 1).square()).mean())
        return torch.stack(terms).mean()


PRIORS: dict[PriorName, type[Prior]] = {
    "none": Prior,
    "activation": Activation,
    "layer_norm": LayerNormStatistics,
}


def check_prior(teacher: Classifier, name: PriorName) -> None:
    """Refuse a prior on layers that the teacher lacks.

    Raises:
        InputError: the teacher lacks them.
    """
    if lacking := PRIORS[name].missing(teacher):
        others = ", ".join(each for each, prior in PRIORS.items() if not prior.missing(teacher))
        raise InputError(
            f"distill.synthesis.prior: '{name}' needs {lacking}, which '{teacher.architecture}' lacks; "
            f"choose one of {others}."
        )
