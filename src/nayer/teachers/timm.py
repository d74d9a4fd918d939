"""Teachers of timm: published weights by name, or a model of your own that `timm.models.save_for_hf` saved.

The latter is a local folder or an id on the hub. Its configuration says all that must be known, and never runs code: it
is read as JSON, and names a network that timm itself has.
"""

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nayer.core.errors import InputError, first_line, is_printable, shown
from nayer.models.configured import without_memory
from nayer.models.zoo import SIZES, published_network
from nayer.teachers.checkpoint import read_weights
from nayer.teachers.description import CHANNELS, MOST_SIDE, Description, share_shown
from nayer.teachers.folders import CONFIG, folder_of, pinned, read_json
from nayer.teachers.published import TIMM_FILES, describe_published, read_published

FILES = (CONFIG, *TIMM_FILES)
# Options that an architecture's name need not state: set elsewhere, or checked apart (global_pool).
TOLD_OTHERWISE = ("num_classes", "in_chans", "img_size", "global_pool")
# Prefix that transformers gives every weight when it saves a network of timm.
WRAPPED = "timm_model."


def describe(name: str) -> Description:
    """Description of published weights, or of a saved model from its files.

    Raises:
        InputError: there are none, or the network or its images cannot be made here.
    """
    if not is_saved(name):
        return describe_published("timm", name, "TEACHER")
    folder = folder_of(f"timm:{name}", FILES, "TEACHER")
    said = read_config(folder, "TEACHER")
    try:
        return described(name, folder, said)
    except (
        TypeError,
        ValueError,
        AttributeError,
        KeyError,
        IndexError,
    ) as error:  # a stranger's files may say anything
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"TEACHER: what '{folder / CONFIG}' says of its images or classes cannot be understood "
            f"({first_line(error)}); save the model again."
        ) from error


def read(name: str) -> Mapping[str, Tensor]:
    """The weights, by the names that timm gives them.

    Raises:
        InputError: there are none, or not in the form in which timm saves them.
    """
    key = "teacher.weights"
    if not is_saved(name):
        return read_published("timm", name, key)
    folder = folder_of(f"timm:{name}", FILES, key)
    file = next((folder / each for each in TIMM_FILES if (folder / each).is_file()), folder / TIMM_FILES[0])
    weights = read_weights(file, key)
    return {place.removeprefix(WRAPPED): value for place, value in weights.items()}


def is_saved(name: str) -> bool:
    """Whether a folder or an id on the hub is meant: timm's own names have no slash."""
    return "/" in name or (Path(name).expanduser() / CONFIG).is_file()


def read_config(folder: Path, key: str) -> dict[str, Any]:
    """The configuration of a network of timm.

    Raises:
        InputError: the file describes something else, or its weights are not in timm's own form.
    """
    said = read_json(folder / CONFIG, key)
    if not isinstance(said.get("pretrained_cfg"), dict) or not isinstance(said.get("architecture"), str):
        raise InputError(
            f"{key}: '{folder / CONFIG}' does not name a timm network; give a folder from timm.models.save_for_hf, or "
            "transformers: and a folder from save_pretrained."
        )
    if said["pretrained_cfg"].get("custom_load"):
        raise InputError(
            f"{key}: the weights beside '{folder / CONFIG}' are in a custom format (custom_load); load them in timm "
            "and save them with timm.models.save_for_hf."
        )
    return said


def described(name: str, folder: Path, said: Mapping[str, Any]) -> Description:
    """Description from the configuration; a malformed one may raise any error that `describe` catches."""
    published, options = said["pretrained_cfg"], said.get("model_args") or {}
    channels, *sides = published["input_size"]
    channels = options.get("in_chans", channels)
    if (given := options.get("img_size")) and published.get("fixed_input_size"):
        sides = given if isinstance(given, list) else [given, given]
    if channels not in CHANNELS or sides[0] != sides[1] or not 1 <= int(sides[0]) <= MOST_SIDE:
        raise InputError(
            f"TEACHER: '{folder / CONFIG}' takes images of {shown([channels, *sides])}, but only square ones of 1 or "
            f"3 channels and at most {MOST_SIDE:,} pixels a side can be made; give a teacher for them."
        )
    names = class_names(said, folder)
    classes = said.get("num_classes", published.get("num_classes"))
    if names and len(names) != classes:
        raise InputError(
            f"TEACHER: '{folder / CONFIG}' has {len(names):,} class names, but num_classes is {shown(classes)}; "
            "correct it there."
        )
    mean, std = (values_of(published.get(each), channels) for each in ("mean", "std"))
    if std and min(std) <= 0:
        raise InputError(f"TEACHER: '{folder / CONFIG}' divides by {shown(std)}; give NORMALISATION=mean/std.")
    crop = share_shown(published.get("crop_pct"))
    architecture = f"timm:{said['architecture']}{braces(options, folder)}"
    check_pooling(architecture, said, folder, (channels, sides[0]))
    return Description(architecture, pinned(name, folder), names, sides[0], mean, std, crop)


def braces(options: Mapping[str, Any], folder: Path) -> str:
    """The sizes in which the network differs from the default of its name, in the braces of an architecture's name.

    Raises:
        InputError: it differs in something other than sizes.
    """
    differing = {key: value for key, value in options.items() if key not in TOLD_OTHERWISE}
    if other := [key for key in differing if key not in SIZES]:
        raise InputError(
            f"TEACHER: '{folder / CONFIG}' makes its network with {other[0]} = {shown(differing[other[0]])} "
            "(model_args), which no architecture name can say; save the weights as a file, and give the network as "
            "your own code, package.module:factory."
        )
    return json.dumps(differing, sort_keys=True, separators=(",", ":")) if differing else ""


def check_pooling(architecture: str, said: Mapping[str, Any], folder: Path, images: tuple[int, int]) -> None:
    """Refuse a network that pools its last features otherwise than the one that is built here by its name.

    Raises:
        InputError: the pooling differs, or there is no such network.
    """
    name, (channels, size) = architecture.partition(":")[2], images
    make = partial(published_network, "timm", name, channels, 2, "TEACHER", size)
    own = pooling(without_memory(make, architecture, "TEACHER"))
    theirs = (said.get("model_args") or {}).get("global_pool", said.get("global_pool"))
    if theirs and own and theirs != own:
        raise InputError(
            f"TEACHER: '{folder / CONFIG}' pools by '{theirs}' (global_pool), but '{architecture}' by '{own}' here; "
            "save the weights as a file, and give the network as code of your own, package.module:factory."
        )


def pooling(network: nn.Module) -> str | None:
    """timm's name for the way in which a network pools its last features; None if it does not say."""
    for place in (getattr(network, "head", None), network):
        pool = getattr(place, "global_pool", None)
        if isinstance(name := getattr(pool, "pool_type", pool), str):
            return name
    return None


def class_names(said: Mapping[str, Any], folder: Path) -> tuple[str, ...] | None:
    """The class names in the order of the classes, in words where the file describes them; None if it has no names.

    Raises:
        InputError: the names do not number the classes from 0 on, or are empty or not printable.
    """
    found = said.get("label_names") or said["pretrained_cfg"].get("label_names")
    if not found:
        return None
    words = said.get("label_descriptions") or said["pretrained_cfg"].get("label_descriptions") or {}
    numbered = {int(place): label for place, label in (found.items() if isinstance(found, dict) else enumerate(found))}
    names = tuple(str(words.get(numbered[place], numbered[place])) for place in sorted(numbered))
    if sorted(numbered) != list(range(len(names))) or not all(is_printable(each) and each for each in names):
        raise InputError(
            f"TEACHER: label_names of '{folder / CONFIG}' must number classes from 0, each with a name of one "
            f"printable line, but are {shown(found)}; correct them there."
        )
    return names


def values_of(said: Any, channels: int) -> tuple[float, ...] | None:
    """One number for each channel; None if the file gives none, too many or too few, or not all are finite."""
    values = tuple(float(each) for each in said or ())
    return values if len(values) == channels and all(map(math.isfinite, values)) else None
