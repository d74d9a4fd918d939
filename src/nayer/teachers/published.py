"""Weights published by torchvision and timm, and what these libraries know about them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nayer.core.errors import InputError, first_line, unknown
from nayer.core.hub import snapshot
from nayer.models.zoo import check_timm_name, import_timm, torchvision_names
from nayer.teachers.checkpoint import read_weights
from nayer.teachers.description import Description

TIMM_FILES = ("model.safetensors", "pytorch_model.bin")
IMAGENET_CLASSES = 1000


def read_published(library: str, name: str, key: str) -> Mapping[str, Tensor]:
    """The weights by their published name; fetched once, then taken from the library's own cache.

    Raises:
        InputError: the name is unknown, or the weights cannot be fetched.
    """
    with _fetching(library, name, key):
        if library == "timm":
            return _timm_weights(name, key)
        found: Mapping[str, Tensor] = _torchvision_weights(name, key).get_state_dict(
            progress=True, check_hash=True, weights_only=True, map_location="cpu"
        )
        return found


@contextmanager
def _fetching(library: str, name: str, key: str) -> Iterator[None]:
    """Turn whatever fails inside into an InputError of one sentence."""
    try:
        yield
    except InputError:
        raise
    # URLError, the hub's own errors, a half-downloaded file, a pickle that holds more than weights.
    except Exception as error:
        raise InputError(
            f"{key}: '{name}' could not be fetched ({first_line(error)}); give this machine access to it once, or "
            f"fetch the file elsewhere and give it as a file with the architecture {library}:NAME."
        ) from error


def describe_published(library: str, name: str, key: str) -> Description:
    """Description of published weights, by their name or by that of a network, which means its default weights.

    Raises:
        InputError: the name is unknown, or timm's weights cannot be fetched, whose commit is part of the description.
    """
    return _torchvision_description(name, key) if library == "torchvision" else _timm_description(name, key)


def _torchvision_weights(name: str, key: str) -> Any:
    models = import_module("torchvision.models")
    try:
        return models.get_weight(name)
    except (ValueError, KeyError, AttributeError) as error:
        known = [str(each) for model in torchvision_names(models) for each in models.get_model_weights(model)]
        raise unknown(key, name, known) from error


def _torchvision_description(name: str, key: str) -> Description:
    models = import_module("torchvision.models")
    known = torchvision_names(models)
    if name in known:
        model: str | None = name
        weights = models.get_model_weights(name).DEFAULT
    else:
        weights = _torchvision_weights(name, key)
        model = next((each for each in known if weights in models.get_model_weights(each)), None)
        if model is None:
            raise InputError(f"{key}: '{name}' are not the weights of an image classifier that can be read here.")
    preset = weights.transforms()
    whole, shown = preset.resize_size[0], preset.crop_size[0]
    return Description(
        f"torchvision:{model}",
        str(weights),
        tuple(weights.meta["categories"]),
        shown,
        tuple(preset.mean),
        tuple(preset.std),
        min(1.0, shown / whole),
    )


def _timm_weights(name: str, key: str) -> Mapping[str, Tensor]:
    timm, (model, folder) = import_timm(key), _timm_snapshot(name, key)
    file = next(folder / each for each in TIMM_FILES if (folder / each).is_file())
    # Read safely here, like every weights file; timm then converts them to its current form.
    read = {"state_dict": dict(read_weights(file, key))}
    network: nn.Module = timm.create_model(model, pretrained=True, pretrained_cfg_overlay=read)
    return network.state_dict()


def _timm_snapshot(name: str, key: str) -> tuple[str, Path]:
    """The model that `name` or `name@revision` means, and the snapshot folder of that commit, by default the newest."""
    timm, (model, _, revision) = import_timm(key), name.partition("@")
    check_timm_name(timm, model, key)
    place = timm.get_pretrained_cfg(model).hf_hub_id
    if not place:
        raise InputError(f"{key}: '{model}' is not on the Hugging Face hub; choose one that is.")
    return model, snapshot(place, TIMM_FILES, revision or None)


def _timm_description(name: str, key: str) -> Description:
    timm, model = import_timm(key), name.partition("@")[0]
    check_timm_name(timm, model, key)
    found = timm.get_pretrained_cfg(model)
    if found is None or not found.has_weights:
        raise InputError(f"{key}: timm publishes no weights for '{model}'; timm.list_pretrained() names those it has.")
    with _fetching("timm", name, key):
        folder = _timm_snapshot(name, key)[1]
    if found.input_size[1] != found.input_size[2]:
        raise InputError(
            f"{key}: '{model}' takes images of {found.input_size[1]}x{found.input_size[2]}, but only square ones can "
            "be made; give a teacher for such images."
        )
    names = found.label_names
    if names is None and found.num_classes == IMAGENET_CLASSES:
        # ImageNet's classes have the same order in both libraries; timm itself has only WordNet's synonyms.
        names = import_module("torchvision.models").ResNet18_Weights.DEFAULT.meta["categories"]
    return Description(
        f"timm:{found.architecture}",
        f"{model}@{folder.name}",  # so that it always means the same teacher
        tuple(names) if names else None,
        found.input_size[1],
        tuple(found.mean),
        tuple(found.std),
        min(1.0, found.crop_pct),
    )
