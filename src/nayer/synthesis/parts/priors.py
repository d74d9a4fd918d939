"""What stands in for the BatchNorm term where a teacher has no BatchNorm: what its pictures are like in other ways.

Each is a scalar of the order of 1, least for the images that it takes for likely.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import log, prod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.synthesis.parts.features import LayerInputs, as_given, head_of, inputs_by_layer
from nayer.synthesis.parts.losses import activation_loss, balance_loss

PriorName = Literal["none", "variation", "pixels", "activation", "layer_norm", "patches"]
# DAFL's weights of its activation and its balance term are 0.1 and 5.
BALANCE = 50.0
# Of the density of likenesses between patches: points from -1 to 1, and the width of the kernel.
POINTS, WIDTH, LEAST = 32, 0.1, 1e-6
# Patches of an image a side at most: their likenesses are as many as the fourth power.
SIDE = 7


def layer_norms(teacher: Classifier) -> dict[nn.Module, torch.Size]:
    """The layers whose inputs are what the network made of an image so far, with the shapes of these."""
    return inputs_by_layer(teacher, [each for each in teacher.modules() if isinstance(each, nn.LayerNorm)])


def channels_first(layer: nn.Module) -> bool:
    """Whether it takes (N, C, H, W): the LayerNorm2d of timm and torchvision, and one of transformers that says so."""
    return "2d" in type(layer).__name__ or getattr(layer, "data_format", "") == "channels_first"


def channels_last(features: Tensor, layer: nn.Module) -> Tensor:
    """What a LayerNorm is given, (N, C, H, W), (N, H, W, C) or (N, tokens, C), as (N, ..., C) in fp32."""
    return (features.movedim(1, -1) if channels_first(layer) else features).float()


class Prior:
    """None, which the others extend: watches the teacher while recording, and judges images and logits after."""

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

    def loss(self, images: Tensor, teacher_logits: Tensor) -> Tensor:
        """Of images (N, C, H, W) in [0, 1] and the logits (N, classes) of the forward pass just recorded."""
        return torch.zeros((), device=images.device)


class Variation(Prior):
    """Neighbouring pixels are alike: the mean of their absolute differences (DeepInversion's total variation)."""

    title = "smooth pictures"

    def loss(self, images: Tensor, teacher_logits: Tensor) -> Tensor:
        """Of the images alone."""
        return images.diff(dim=-1).abs().mean() + images.diff(dim=-2).abs().mean()


class PixelStatistics(Prior):
    """Pixels have, channel by channel, the mean and deviation that the teacher's normalisation takes off its images."""

    title = "pixels as its normalisation expects them"

    def __init__(self, teacher: Classifier) -> None:
        super().__init__(teacher)
        self.mean, self.std = teacher.mean, teacher.std

    def loss(self, images: Tensor, teacher_logits: Tensor) -> Tensor:
        """The mean over channels of mean^2 + (deviation - 1)^2 of the normalised pixels."""
        normal = ((images.float() - self.mean) / self.std).transpose(0, 1).flatten(1)
        return (normal.mean(1).square() + (normal.std(1, correction=0) - 1).square()).mean()


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

    def loss(self, images: Tensor, teacher_logits: Tensor) -> Tensor:
        """Of features and logits."""
        return activation_loss(self.inputs.found[0]) + BALANCE * balance_loss(teacher_logits)


class LayerNormStatistics(Prior):
    """What a LayerNorm has normalised is, channel by channel over all images and places, of mean 0 and variance 1."""

    title = "inputs of LayerNorm like a Gaussian's"

    @staticmethod
    def layers(teacher: Classifier) -> list[nn.Module]:
        """All LayerNorms."""
        return list(layer_norms(teacher))

    @classmethod
    def missing(cls, teacher: Classifier) -> str | None:
        """A LayerNorm."""
        return None if cls.layers(teacher) else "a LayerNorm"

    def loss(self, images: Tensor, teacher_logits: Tensor) -> Tensor:
        """The mean over layers and channels of mean^2 + (variance - 1)^2."""
        terms = []
        for place, layer in enumerate(self.inputs.layers):
            values = channels_last(self.inputs.found[place], layer)
            normal = F.layer_norm(values, values.shape[-1:]).flatten(0, -2)
            terms.append((normal.mean(0).square() + (normal.var(0, correction=0) - 1).square()).mean())
        return torch.stack(terms).mean()


class PatchEntropy(Prior):
    """Patches of an image are alike and unlike by turns: the entropy of their likenesses is high (PSAQ-ViT)."""

    title = "patches of varied likeness"

    @staticmethod
    def layers(teacher: Classifier) -> list[nn.Module]:
        """The LayerNorms that are given more than one patch of an image."""
        return [layer for layer, shape in layer_norms(teacher).items() if patches_of(shape, layer) > 1]

    @classmethod
    def missing(cls, teacher: Classifier) -> str | None:
        """A LayerNorm of patches."""
        return None if cls.layers(teacher) else "a LayerNorm of several patches"

    def loss(self, images: Tensor, teacher_logits: Tensor) -> Tensor:
        """1 less the entropy by its greatest value, the mean over layers and images."""
        terms = []
        for place, layer in enumerate(self.inputs.layers):
            values = channels_last(self.inputs.found[place], layer)
            if values.ndim == 4:
                height, width = (min(SIDE, side) for side in values.shape[1:3])
                values = F.adaptive_avg_pool2d(values.movedim(-1, 1), (height, width)).flatten(2).transpose(1, 2)
            terms.append(1 - likeness_entropy(values) / log(POINTS))
        return torch.stack(terms).mean()


def patches_of(shape: torch.Size, layer: nn.Module) -> int:
    """How many patches of an image such an input of a layer has."""
    return prod(shape[2:] if channels_first(layer) else shape[1:-1]) if len(shape) > 2 else 1


def likeness_entropy(patches: Tensor) -> Tensor:
    """Of the cosines between the patches (N, patches, C) of each image, by a Gaussian kernel density: (N,) -> mean."""
    unit = F.normalize(patches, dim=-1)
    likeness = (unit @ unit.transpose(1, 2)).flatten(1)
    points = torch.linspace(-1, 1, POINTS, device=patches.device)
    density = torch.stack([(-((likeness - point) / WIDTH).square() / 2).exp().mean(1) for point in points], 1)
    # Where no likeness is near, the density is 0 in fp32, and the slope of the entropy without bound.
    density = density + LEAST
    share = density / density.sum(1, keepdim=True)
    entropy: Tensor = torch.special.entr(share).sum(1).mean()
    return entropy


PRIORS: dict[PriorName, type[Prior]] = {
    "none": Prior,
    "variation": Variation,
    "pixels": PixelStatistics,
    "activation": Activation,
    "layer_norm": LayerNormStatistics,
    "patches": PatchEntropy,
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
