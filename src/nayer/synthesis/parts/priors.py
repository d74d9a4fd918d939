"""What stands in for the BatchNorm term where a teacher has no BatchNorm: what its features are like in other ways.

Each is a scalar of the order of 1, least for the images that it takes for likely.
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
# DAFL's weights of its activation and its balance term are 0.1 and 5.
BALANCE = 50.0


def channels_first(layer: nn.Module) -> bool:
    """Whether it takes (N, C, H, W): the LayerNorm2d of timm and torchvision, and one of transformers that says so."""
    return "2d" in type(layer).__name__ or getattr(layer, "data_format", "") == "channels_first"


def channels_last(features: Tensor, layer: nn.Module) -> Tensor:
    """What a LayerNorm is given, (N, C, H, W), (N, H, W, C) or (N, tokens, C), as (N, ..., C) in fp32."""
    return (features.movedim(1, -1) if channels_first(layer) else features).float()


class Prior:
    """None, which the others extend: watches the teacher while recording, and judges features and logits after."""

    title = "nothing"
    """What it asks of images, for people."""

    def __init__(self, teacher: Classifier) -> None:
        self.inputs = LayerInputs(self.layers(teacher), as_given)

    @staticmethod
    def layers(teacher: Classifier) -> list[nn.Module]:
        """What it watches."""
        return []

    @classmethod
    def missing(cls, teacher: Classifier) -> str | None:
        """What the teacher lacks for it."""
        return None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Around forward passes of the teacher."""
        with self.inputs.recording():
            yield

    def loss(self, teacher_logits: Tensor) -> Tensor:
        """Of the forward pass just recorded and its logits (N, classes)."""
        return teacher_logits.new_zeros(())


class Activation(Prior):
    """The features before the head are strong, and all classes come equally often (DAFL, section 3.2)."""

    title = "strong features of balanced classes"

    @staticmethod
    def layers(teacher: Classifier) -> list[nn.Module]:
        """The head."""
        head = head_of(teacher)
        return [head] if head else []

    @classmethod
    def missing(cls, teacher: Classifier) -> str | None:
        """A linear head."""
        return None if cls.layers(teacher) else "a linear layer at its end"

    def loss(self, teacher_logits: Tensor) -> Tensor:
        """Of features and logits."""
        return activation_loss(self.inputs.found[0]) + BALANCE * balance_loss(teacher_logits)


class LayerNormStatistics(Prior):
    """What a LayerNorm has normalised is, channel by channel over all images and places, of mean 0 and variance 1."""

    title = "inputs of LayerNorm like a Gaussian's"

    @staticmethod
    def layers(teacher: Classifier) -> list[nn.Module]:
        """All LayerNorms that images go through."""
        return list(inputs_by_layer(teacher, [each for each in teacher.modules() if isinstance(each, nn.LayerNorm)]))

    @classmethod
    def missing(cls, teacher: Classifier) -> str | None:
        """A LayerNorm."""
        return None if cls.layers(teacher) else "a LayerNorm"

    def loss(self, teacher_logits: Tensor) -> Tensor:
        """The mean over layers and channels of mean^2 + (variance - 1)^2."""
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
    """Refuse a prior that looks at what the teacher lacks.

    Raises:
        InputError: names the key.
    """
    if lacking := PRIORS[name].missing(teacher):
        others = ", ".join(each for each, prior in PRIORS.items() if not prior.missing(teacher))
        raise InputError(
            f"distill.synthesis.prior: '{name}' needs {lacking}, which '{teacher.architecture}' has not; "
            f"take one of {others}."
        )
