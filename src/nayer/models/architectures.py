"""Classifier architectures by name."""

import hashlib
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from nayer.core.errors import InputError, first_line, unknown
from nayer.core.files import digest
from nayer.models.narrowing import narrow
from nayer.models.resnet import ResNet
from nayer.models.vgg import VGG
from nayer.models.wide_resnet import WideResNet
from nayer.models.zoo import LIBRARIES, published_network

RESNETS = {"resnet-18": (2, 2, 2, 2), "resnet-34": (3, 4, 6, 3)}
# wrn-D-W stands for every depth 6 n + 4 and every width; the listed ones are those of the papers.
EXAMPLES = ("wrn-10-1", "wrn-16-1", "wrn-16-2", "wrn-40-1", "wrn-40-2", *RESNETS, "vgg-11-bn")
# Parameters by which factories take the numbers of classes and channels: torchvision's, timm's and other common names.
CLASSES_WORDS = ("num_classes", "classes", "n_classes")
CHANNELS_WORDS = ("in_channels", "channels", "in_chans")
MIN_IMAGE_SIZE = {"vgg-11-bn": 16}
# Prefix of any name, at most twice: the same network with half the channels. The whole network is built first, with
# four times the weights for each prefix, so more prefixes would let a small classifier file take much memory.
HALF_OF = "half:"
MOST_HALVINGS = 2
# Largest difference from 1 of a sum of probabilities.
ROUNDING = 1e-4
_trusted: set[str] = set()


def build_network(
    architecture: str, channels: int, classes: int, key: str = "architecture", size: int | None = None
) -> nn.Module:
    """A network with fresh weights that maps (N, channels, size, size) to (N, classes) logits.

    `size` matters only to library networks built for one image size: without it they have the library's own. Most
    networks take images of any size.

    Raises:
        InputError: the name is unknown; `key` is the parameter named in the message.
    """
    whole, halvings = whole_of(architecture), halvings_of(architecture)
    if halvings > MOST_HALVINGS:
        raise InputError(f"{key}: '{HALF_OF}' stands {halvings} times before '{whole}'; use at most {MOST_HALVINGS}.")
    network = whole_network(whole, channels, classes, key, size)
    try:
        for _ in range(halvings):
            narrow(network, channels, classes)
    except ValueError as error:
        raise InputError(f"{key}: '{whole}' has no half: {error}; name a smaller network.") from error
    return network


def whole_of(architecture: str) -> str:
    """The name without its `half:` prefixes."""
    while architecture.startswith(HALF_OF):
        architecture = architecture.removeprefix(HALF_OF)
    return architecture


def halvings_of(architecture: str) -> int:
    """Number of `half:` prefixes of the name."""
    return (len(architecture) - len(whole_of(architecture))) // len(HALF_OF)


def whole_network(architecture: str, channels: int, classes: int, key: str, size: int | None) -> nn.Module:
    """As `build_network`, for a name without `half:`."""
    if match := re.fullmatch(r"wrn-(\d{1,3})-(\d{1,2})", architecture):
        try:
            return WideResNet(int(match[1]), int(match[2]), channels, classes)
        except ValueError as error:
            raise InputError(f"{key}: '{architecture}' cannot be built. {error}.") from error
    if architecture in RESNETS:
        return ResNet(RESNETS[architecture], channels, classes)
    if architecture == "vgg-11-bn":
        return VGG(channels, classes)
    library, _, name = architecture.partition(":")
    if library in LIBRARIES:
        return published_network(library, name, channels, classes, key, size)
    if name:
        return _own_network(architecture, channels, classes, key)
    raise unknown(key, architecture, EXAMPLES)


def is_own(architecture: str) -> bool:
    """Whether the name is a user's own `module:factory`, whose code is imported and called."""
    place, colon, _ = whole_of(architecture).partition(":")
    return bool(colon) and place not in LIBRARIES


def trust(*architectures: str) -> None:
    """Allow classifier files to name these architectures, or halves of them: a user's own code, which is then run."""
    _trusted.update(map(whole_of, architectures))


def may_run(architecture: str) -> bool:
    """Whether a classifier file may name this architecture: a user's own code must have been trusted first."""
    return not is_own(architecture) or whole_of(architecture) in _trusted


def own_code(architecture: str) -> list[Path]:
    """Files of a user's own network, its whole package included; empty for other networks and for installed code."""
    if not is_own(architecture):
        return []
    package = Path(whole_of(architecture).partition(":")[0].partition(".")[0])
    module = package.with_suffix(".py")
    return sorted(package.rglob("*.py")) or ([module] if module.is_file() else [])


def code_digest(architecture: str) -> str:
    """SHA-256 over the files of a user's own network; empty for any other."""
    files = own_code(architecture)
    return hashlib.sha256("".join(map(digest, files)).encode()).hexdigest() if files else ""


def _own_network(architecture: str, channels: int, classes: int, key: str) -> nn.Module:
    """The network made by a user's `package.module:factory`, which is passed classes and channels if it takes them."""
    place, _, name = architecture.partition(":")
    try:
        with _importable(Path.cwd()):
            factory = getattr(import_module(place), name)
        known = inspect.signature(factory).parameters
        shape = {word: classes for word in CLASSES_WORDS if word in known}
        shape |= {word: channels for word in CHANNELS_WORDS if word in known}
        network = factory(**shape)
    except Exception as error:  # the user's code may fail in any way
        raise InputError(
            f"{key}: '{architecture}' gave no network ({type(error).__name__}: {error}); it must be importable from "
            "the project's folder and callable with at most num_classes and in_channels."
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{key}: '{architecture}' gave a {type(network).__name__}, not a torch.nn.Module.")
    if lazy := next((layer for layer in network.named_modules() if _is_unsized(layer[1])), None):
        raise InputError(
            f"{key}: '{architecture}' has a layer without sizes, {type(lazy[1]).__name__} '{lazy[0]}', which cannot "
            "take weights; give it its sizes, as its kind without Lazy has, or let the factory pass an image through."
        )
    return network


def _is_unsized(layer: nn.Module) -> bool:
    """Whether a lazy layer still waits for its first images, which tell it its sizes."""
    return isinstance(layer, LazyModuleMixin) and layer.has_uninitialized_params()


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Make the modules in `folder` importable."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def check_logits(network: nn.Module, channels: int, size: int, classes: int, key: str) -> None:
    """Refuse a network that, in its current mode, does not map images of this shape to one logit per class."""
    try:
        # From black to white, as images drawn at random would move the state that a run draws from.
        logits = network(torch.linspace(0, 1, 2 * channels * size**2).view(2, channels, size, size))
    except Exception as error:  # the user's code may fail in any way
        raise InputError(
            f"{key}: the network fails on images of {channels}x{size}x{size} ({first_line(error)}); choose one "
            "made for them, or correct data.image_size and teacher.normalisation."
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, classes):
        found = tuple(logits.shape) if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
        raise InputError(f"{key}: the network gives {found} for 2 images, not logits of shape (2, {classes}).")
    if last := last_of_probabilities(logits):
        raise InputError(f"{key}: the network gives probabilities, not logits; leave out its final {last}.")


def last_of_probabilities(logits: torch.Tensor) -> str | None:
    """The softmax or sigmoid that made these outputs (N, classes) of a network; None for logits.

    A softmax is known by its rows. Those of a sigmoid could be small logits, so it is known by the operation alone,
    which only a pass with gradients records.
    """
    if type(logits.grad_fn).__name__ == "SigmoidBackward0":
        return "sigmoid"
    if logits.is_meta:
        return None
    within = bool(((logits >= 0) & (logits <= 1)).all())
    return "softmax" if within and bool(((logits.sum(1) - 1).abs() <= ROUNDING).all()) else None


def check_image_size(architecture: str, size: int, key: str) -> None:
    """Refuse images that are too small for the architecture's pooling."""
    least = MIN_IMAGE_SIZE.get(whole_of(architecture), 4)
    if size < least:
        raise InputError(f"{key}: '{architecture}' needs images of at least {least} pixels a side, not {size}.")
