"""Networks of torchvision, timm and transformers by name: `torchvision:resnet18`, `timm:resnet18`.

They are imported only when used: they take seconds to import, and timm is an extra.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import nn

from nayer.core.errors import InputError, unknown
from nayer.models.configured import configured_network

LIBRARIES = ("torchvision", "timm", "transformers")
RGB = 3
# The first two normalise once more inside, if the weights are published ones; of the last, the files have other keys.
NOT_AS_PUBLISHED = ("googlenet", "inception", "densenet")


def published_network(library: str, name: str, channels: int, classes: int, key: str) -> nn.Module:
    """A network of a library with fresh weights.

    Raises:
        InputError: the library is not installed, has no such network, or the network takes other images.
    """
    if library == "transformers":
        return configured_network(name, channels, classes, key)
    if library == "timm":
        timm = import_timm(key)
        check_timm_name(timm, name, key)
        return _built(
            lambda: timm.create_model(name, pretrained=False, num_classes=classes, in_chans=channels), name, key
        )
    models = import_module("torchvision.models")
    known = torchvision_names(models)
    if name not in known:
        raise unknown(key, f"torchvision:{name}", [f"torchvision:{each}" for each in known])
    if channels != RGB:
        raise InputError(f"{key}: 'torchvision:{name}' takes images of 3 channels, not {channels}; take timm:NAME.")
    return _built(lambda: models.get_model(name, weights=None, num_classes=classes), name, key)


def torchvision_names(models: Any) -> list[str]:
    """Image classifiers that take images normalised once, and whose files fit them."""
    return [name for name in models.list_models(module=models) if not name.startswith(NOT_AS_PUBLISHED)]


def import_timm(key: str) -> Any:
    try:
        return import_module("timm")
    except ImportError as error:
        raise InputError(
            f"{key}: timm is not installed; pip install --no-deps --require-hashes -r requirements-all.lock."
        ) from error


def check_timm_name(timm: Any, name: str, key: str) -> None:
    # Names such as hf-hub:owner/model would bring a configuration, and with it an architecture, from elsewhere.
    model, _, tag = name.partition(".")
    if not timm.is_model(model):
        raise unknown(key, f"timm:{name}", [f"timm:{each}" for each in timm.list_models()])
    if tag and name not in timm.list_pretrained():
        raise unknown(key, f"timm:{name}", [f"timm:{each}" for each in timm.list_pretrained(f"{model}.*")])


def _built(build: Callable[[], nn.Module], name: str, key: str) -> nn.Module:
    try:
        return build()
    except Exception as error:  # each network has its own demands
        raise InputError(f"{key}: '{name}' cannot be built ({type(error).__name__}: {error}); take another.") from error
