"""Classifier architectures by name."""

import re

from torch import nn

from nayer.errors import InputError, unknown
from nayer.models.resnet import ResNet
from nayer.models.vgg import VGG
from nayer.models.wide_resnet import WideResNet

RESNETS = {"resnet-18": (2, 2, 2, 2), "resnet-34": (3, 4, 6, 3)}
# wrn-D-W stands for every depth 6 n + 4 and every width; the listed ones are those of the papers.
EXAMPLES = ("wrn-10-1", "wrn-16-1", "wrn-16-2", "wrn-40-1", "wrn-40-2", *RESNETS, "vgg-11-bn")
SMALLEST_IMAGE = {"vgg-11-bn": 16}


def build_network(architecture: str, channels: int, classes: int, key: str = "architecture") -> nn.Module:
    """A network with fresh weights that maps (N, channels, H, W) to (N, classes) logits.

    Raises:
        InputError: the name is unknown; `key` is the parameter named in the message.
    """
    if match := re.fullmatch(r"wrn-(\d{1,3})-(\d{1,2})", architecture):
        try:
            return WideResNet(int(match[1]), int(match[2]), channels, classes)
        except ValueError as error:
            raise InputError(f"{key}: '{architecture}' cannot be built. {error}.") from error
    if architecture in RESNETS:
        return ResNet(RESNETS[architecture], channels, classes)
    if architecture == "vgg-11-bn":
        return VGG(channels, classes)
    raise unknown(key, architecture, EXAMPLES)


def check_image_size(architecture: str, size: int, key: str) -> None:
    """Refuse images that are too small for the architecture's pooling."""
    least = SMALLEST_IMAGE.get(architecture, 4)
    if size < least:
        raise InputError(f"{key}: '{architecture}' needs images of at least {least} pixels a side, not {size}.")
