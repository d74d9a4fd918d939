"""Networks of torchvision, timm and transformers by name: `torchvision:resnet18`, `timm:resnet18`.

Networks of torchvision and timm built for one image size, such as a ViT with its position table, are built for that of
the scenario. For timm, braces may set other sizes: `timm:vit_tiny_patch16_224{"patch_size":4}`.

The libraries are imported only when used: that takes seconds, and timm is an optional extra.
"""

import json
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from torch import nn

from nayer.core.errors import InputError, first_line, unknown
from nayer.models.configured import check_sizes, configured_network, without_memory

LIBRARIES = ("torchvision", "timm", "transformers")
RGB = 3
# Excluded: with published weights, the first two normalise once more inside; the last has other keys in its files.
NOT_AS_PUBLISHED = ("googlenet", "inception", "densenet")
# What braces may set: numbers alone, nothing that names files, weights or code.
SIZES = ("patch_size", "window_size", "embed_dim", "depth", "depths", "num_heads", "mlp_ratio")
# timm's networks of a fixed size that still take any other: they resize the images, or their position tables.
ANY_SIZE = ("crossvit", "efficientvit_m", "mvitv2", "resnet", "samvit", "vit_intern")


def published_network(library: str, name: str, channels: int, classes: int, key: str, size: int | None) -> nn.Module:
    """A network of a library with fresh weights, for images of `size` or, without it, of the library's own size.

    Networks of transformers have the size, where they need one, in their name.

    Raises:
        InputError: the library is not installed, has no such network, or the network takes other images.
    """
    if library == "transformers":
        return configured_network(name, channels, classes, key)
    if library == "timm":
        return _timm_network(name, channels, classes, key, size)
    return _torchvision_network(name, channels, classes, key, size)


def _torchvision_network(name: str, channels: int, classes: int, key: str, size: int | None) -> nn.Module:
    models = import_module("torchvision.models")
    known = torchvision_names(models)
    if name not in known:
        raise unknown(key, f"torchvision:{name}", [f"torchvision:{each}" for each in known])
    if channels != RGB:
        raise InputError(f"{key}: 'torchvision:{name}' takes images of 3 channels, not {channels}; use timm:NAME.")
    options = {}
    if size and name.startswith("vit_"):
        check_patches(f"torchvision:{name}", int(name.rpartition("_")[2]), size, key)
        options["image_size"] = size
    return _built(partial(models.get_model, name, weights=None, num_classes=classes, **options), name, key)


def _timm_network(said: str, channels: int, classes: int, key: str, size: int | None) -> nn.Module:
    timm = import_timm(key)
    name, brace, rest = said.partition("{")
    check_timm_name(timm, name, key)
    options = timm_sizes(brace + rest, name, key)
    published = timm.get_pretrained_cfg(name)
    if size and published.fixed_input_size and not name.startswith(ANY_SIZE):
        options["img_size"] = (size, size)
    make = partial(timm.create_model, name, pretrained=False, num_classes=classes, in_chans=channels, **options)
    if options:
        empty = _built(partial(without_memory, make, f"timm:{name}", key), name, key)
        patches = getattr(empty, "patch_embed", None)
        # timm would silently drop the images' right and lower edges; its own weights trained that way are accepted.
        if size and isinstance(patches, timm.layers.PatchEmbed) and (brace or size != published.input_size[-1]):
            check_patches(f"timm:{name}", max(patches.patch_size), size, key)
    return _built(make, name, key)


def timm_sizes(text: str, name: str, key: str) -> dict[str, Any]:
    """The sizes in the braces behind a name of timm.

    Raises:
        InputError: the braces hold something other than sizes, or sizes that no real network has.
    """
    try:
        sizes = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{key}: what follows 'timm:{name}' is not JSON ({first_line(error)}); write {{\"patch_size\":4}}."
        ) from error
    if other := [each for each, value in sizes.items() if each not in SIZES or not is_size(value)]:
        raise InputError(
            f"{key}: in braces 'timm:{name}' takes numbers for {', '.join(SIZES)}, not '{other[0]}'; "
            "make another network in code of your own, package.module:factory."
        )
    check_sizes(sizes, key)
    return dict(sizes)


def is_size(value: Any) -> bool:
    """Whether the value is a number or a list of numbers."""
    return all(isinstance(each, int | float) for each in (value if isinstance(value, list) else [value]))


def check_patches(named: str, patch: int, size: int, key: str) -> None:
    """Refuse an image size that is no multiple of the patch size.

    Raises:
        InputError: names the nearest sizes that are.
    """
    if left := size % patch:
        sides = " or ".join(str(each) for each in (size - left, size - left + patch) if each)
        raise InputError(
            f"{key}: '{named}' cuts images into patches of {patch} pixels a side, but {size} is not a multiple: "
            f"use images of {sides}, or a network with other patches, such as "
            'timm:vit_tiny_patch16_224{"patch_size":4}.'
        )


def torchvision_names(models: Any) -> list[str]:
    """Names of torchvision's image classifiers, without those that cannot be read as published."""
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
    except InputError:
        raise
    except Exception as error:  # networks raise errors of all types
        raise InputError(f"{key}: '{name}' cannot be built ({type(error).__name__}: {error}); name another.") from error
