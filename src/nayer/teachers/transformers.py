"""Teachers of transformers, by id on the hub or by a local folder that `save_pretrained` wrote.

The teacher's own files say all that must be known. None runs code: configurations are read as JSON, weights from
safetensors alone.
"""

import math
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nayer.core.errors import InputError, first_line, is_printable, shown
from nayer.core.hub import quiet_transformers
from nayer.models.configured import FOREIGN, check_sizes, configured_network, kinds, numbers, spelt
from nayer.teachers.description import CHANNELS, MOST_SIDE, Description, share_shown
from nayer.teachers.folders import CONFIG, folder_of, pinned, read_json

PROCESSOR = "preprocessor_config.json"
# File that holds the processors of several kinds of input together, and the key of the one for images.
PROCESSORS, OF_IMAGES = "processor_config.json", "image_processor"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
FILES = (CONFIG, PROCESSOR, PROCESSORS, "*.safetensors", INDEX)
PREFIX = "model."
"""Prefix of every weight's name in our network, which wraps that of transformers."""
BYTE = 1 / 255
# Allowed difference of normalised pixels, ours against the teacher's own processor's, which may resize in between.
TOLERANCE = 0.02
# Pixels a side from which ConvNeXt's processor squeezes whole pictures instead of cropping them.
CONVNEXT_WHOLE = 384
Values = tuple[float, ...]
ONE_LABEL = "single_label_classification"


def read_config(folder: Path, key: str) -> Any:
    """The configuration, of a kind that transformers itself knows.

    Raises:
        InputError: it asks for code of its own, is of an unknown kind, not of one label an image, has quantised
            weights, or states sizes that no real network has.
    """
    said = read_json(folder / CONFIG, key)
    if "auto_map" in said:
        raise InputError(
            f"{key}: '{folder / CONFIG}' asks for code of its own (auto_map), which is never run here; save the "
            "weights as a file and give the code as ARCHITECTURE=package.module:factory, if you trust it."
        )
    if said.get("quantization_config"):
        raise InputError(
            f"{key}: the weights beside '{folder / CONFIG}' are quantised (quantization_config); give the "
            "original weights."
        )
    known = kinds()
    if said.get("model_type") == FOREIGN or ("model_type" not in said and "pretrained_cfg" in said):
        raise InputError(
            f"{key}: '{folder / CONFIG}' is for a timm network; give the same folder or id with timm: instead of "
            "transformers:."
        )
    if said.get("model_type") not in known:
        raise InputError(
            f"{key}: '{folder / CONFIG}' is of the kind {said.get('model_type')!r}, and transformers knows no image "
            f"classifier of that kind; it knows {', '.join(sorted(known))}."
        )
    if said.get("problem_type") not in (None, ONE_LABEL):
        raise InputError(
            f"{key}: '{folder / CONFIG}' says problem_type {shown(said['problem_type'])}, but a student learns one "
            "label per image; give a single-label teacher."
        )
    check_sizes({name: value for name, value in said.items() if name not in ("id2label", "label2id")}, key)
    try:
        return known[said["model_type"]].from_dict(said)
    except Exception as error:  # kinds raise errors of all types
        raise InputError(f"{key}: '{folder / CONFIG}' is refused ({first_line(error)}); save it again.") from error


def describe(name: str) -> Description:
    """Architecture, class names, size and normalisation, from configuration and image processor.

    Raises:
        InputError: the folder holds no image classifier, or images for it cannot be made here.
    """
    folder = folder_of(f"transformers:{name}", FILES, "TEACHER")
    config = read_config(folder, "TEACHER")
    try:
        return described(name, folder, config)
    except (TypeError, ValueError, AttributeError, KeyError) as error:  # a stranger's files may say anything
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"TEACHER: what '{folder}' says of its images or classes cannot be understood ({first_line(error)}); save "
            "model and image processor again."
        ) from error


def described(name: str, folder: Path, config: Any) -> Description:
    """Description from the files; malformed ones may raise any error that `describe` catches."""
    labels = {int(place): str(label) for place, label in config.id2label.items()}
    names = told_apart([labels[place] for place in sorted(labels)])
    if sorted(labels) != list(range(len(labels))) or not all(is_printable(label) and label for label in names):
        raise InputError(
            f"TEACHER: id2label of '{folder / CONFIG}' must number classes from 0, each with a name of one "
            f"printable line, but has {shown(labels)}; correct it there."
        )
    processor, channels = read_processor(folder), channels_of(config)
    if channels not in CHANNELS:
        raise InputError(
            f"TEACHER: '{folder / CONFIG}' takes images of {channels:,} channels, but only 1 or 3 can be made; give "
            "a teacher for such images."
        )
    mean, std = normalisation(processor, channels, folder)
    size = image_size(processor, read_json(folder / CONFIG, "TEACHER"), folder)
    notes = []
    if size and mean and std:
        check_places(processor, size, folder)
        tried = as_tried(folder, size, channels, (mean, std))
        if isinstance(tried, str):
            notes.append(tried)
        else:
            mean, std = tried
    # Transformers' default names, where none were given.
    told = None if names == tuple(f"LABEL_{place}" for place in range(len(names))) else names
    crop = crop_of(processor, size)
    return Description(spelt(config), pinned(name, folder), told, size, mean, std, crop, " ".join(notes) or None)


def told_apart(names: list[str]) -> tuple[str, ...]:
    """The names, with their class's number behind those that are given twice, as ImageNet's crane (134 and 517) is."""
    given = Counter(names)
    return tuple(f"{name} {place}" if given[name] > 1 else name for place, name in enumerate(names))


def read_processor(folder: Path) -> dict[str, Any]:
    """The settings of the image processor; empty where there is none.

    Raises:
        InputError: it asks for code of its own.
    """
    found: dict[str, Any] = read_json(folder / PROCESSOR, "TEACHER") if (folder / PROCESSOR).is_file() else {}
    several = read_json(folder / PROCESSORS, "TEACHER") if (folder / PROCESSORS).is_file() else {}
    found = several.get(OF_IMAGES, found)  # the combined file goes first, as in transformers
    if "auto_map" in found or "auto_map" in several:
        raise InputError(
            f"TEACHER: the image processor of '{folder}' asks for code of its own (auto_map), which is never run here; "
            "save the weights as a file, and set NORMALISATION."
        )
    return found


def check_places(processor: Mapping[str, Any], size: int, folder: Path) -> None:
    """Refuse a processor whose pictures, or their borders, have more pixels than networks take, before any is made.

    Raises:
        InputError: names the first such number.
    """
    kept = processor.get("crop_pct") or 1.0
    found = [*numbers({key: value for key, value in processor.items() if key != "crop_pct"})]
    for name, number in [*found, ("size / crop_pct", size / kept)]:
        if not abs(number) <= MOST_SIDE:
            raise InputError(
                f"TEACHER: the image processor of '{folder}' says {name} = {number:,.10g}, but pictures may have at "
                f"most {MOST_SIDE:,} pixels a side; give a teacher for such images."
            )


def as_tried(folder: Path, size: int, channels: int, said: tuple[Values, Values]) -> tuple[Values, Values] | str:
    """Mean and std by which the image processor normalises: those that it states, or others that a trial shows.

    The trial is on pictures of a single colour, which stay so however they are resized and cropped. If the processor
    cannot be run, a sentence for the user is returned instead.

    Raises:
        InputError: the processor does more with pictures than to resize and normalise them.
    """
    colours = torch.linspace(0, 255, 3 * channels).round().view(3, channels)
    pictures = [colour.to(torch.uint8).expand(size, size, channels).numpy() for colour in colours]
    try:
        own = import_module("transformers").AutoImageProcessor.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        shown = own(images=pictures, input_data_format="channels_last", return_tensors="pt")["pixel_values"]
        seen = shown.double().mean((2, 3))
    except Exception as error:  # processors raise errors of all types
        return f"The image processor could not be tried ({first_line(error)}); its file is trusted."
    colours = colours.double() / 255
    std = (colours[-1] - colours[0]) / (seen[-1] - seen[0])
    found = colours[0] - seen[0] * std
    for each in (said, (as_values(found), as_values(std))):
        mean, std = torch.tensor(each, dtype=torch.float64)
        fits = bool(((seen - (colours - mean) / std).abs() <= TOLERANCE).all()) and bool((std > 0).all())
        if fits and tuple(shown.shape[2:]) == (size, size):
            return each
    raise InputError(
        f"TEACHER: the image processor of '{folder}' does more with pictures than scale them to {size}x{size} and "
        "normalise them by mean and std; save the weights as a file, and set NORMALISATION, if that is all they need."
    )


def as_values(found: Tensor) -> Values:
    """Values rounded to six decimals, as a person would write them down."""
    return tuple(round(float(each), 6) for each in found)


def channels_of(config: Any) -> int:
    """Number of channels of the images; 3 for kinds that do not state it."""
    return int(getattr(config, "num_channels", 3))


def image_size(processor: Mapping[str, Any], config: Mapping[str, Any], folder: Path) -> int | None:
    """Side in pixels of the images that the network is shown, after cropping; None if no file states it.

    The default of the kind of network is not used, as it says nothing about this one.

    Raises:
        InputError: the images are not square, or too large to be made.
    """
    scaled = processor.get("size") if processor.get("do_resize", True) else None
    cropped = processor.get("crop_size") if processor.get("do_center_crop") else None
    said: Any = cropped or scaled or config.get("image_size")
    sides = set(said.values()) if isinstance(said, dict) else set(said) if isinstance(said, list) else {said}
    if len(sides) > 1:
        shown = "x".join(str(each) for each in (said.values() if isinstance(said, dict) else said))
        raise InputError(
            f"TEACHER: '{folder}' takes images of {shown}, but only square ones can be made; give a teacher for such "
            "images."
        )
    (side,) = sides
    if isinstance(side, int) and not 1 <= side <= MOST_SIDE:
        raise InputError(
            f"TEACHER: '{folder}' takes images of {side:,} pixels a side, but only 1 to {MOST_SIDE:,} can be made; "
            "give a teacher for them."
        )
    return side if isinstance(side, int) else None


def crop_of(processor: Mapping[str, Any], size: int | None) -> float:
    """Share of a picture's shorter side, from the middle, that the network is shown."""
    if "crop_pct" in processor:
        # ConvNeXt's processor does not crop at these sizes.
        whole = size and size >= CONVNEXT_WHOLE and "ConvNext" in str(processor.get("image_processor_type"))
        return 1.0 if whole else share_shown(processor["crop_pct"])
    scaled = processor.get("size") if processor.get("do_resize", True) and processor.get("do_center_crop") else None
    side = min(scaled.values(), default=None) if isinstance(scaled, dict) else scaled
    return share_shown(size / side if size and isinstance(side, int) and side > 0 else None)


def normalisation(
    processor: Mapping[str, Any], channels: int, folder: Path
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Mean and std per channel on the [0, 1] scale; None where no processor states them.

    Raises:
        InputError: the processor does not scale pixels to [0, 1], swaps the channels, or its values do not fit them.
    """
    if not processor:
        return None, None
    if not processor.get("do_rescale", True) or abs(processor.get("rescale_factor", BYTE) - BYTE) > 1e-6:
        raise InputError(
            f"TEACHER: '{folder / PROCESSOR}' does not scale pixels to [0, 1]; set NORMALISATION to what it does."
        )
    if processor.get("do_flip_channel_order"):
        raise InputError(
            f"TEACHER: '{folder / PROCESSOR}' reorders colours to BGR (do_flip_channel_order), which nothing here "
            "does; give weights whose first layer takes RGB."
        )
    if not processor.get("do_normalize", True):
        return (0.0,) * channels, (1.0,) * channels
    given = [processor.get(f"image_{each}") for each in ("mean", "std")]
    if None in given:
        return None, None
    values = [[float(value) for value in each] if isinstance(each, list) else [float(str(each))] for each in given]
    mean, std = (each * channels if len(each) == 1 else each for each in values)
    if len(mean) != channels or len(std) != channels:
        raise InputError(
            f"TEACHER: '{folder / PROCESSOR}' has {len(mean)} values of mean, the network {channels} channels; give "
            "NORMALISATION=mean/std."
        )
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        raise InputError(
            f"TEACHER: '{folder / PROCESSOR}' subtracts {mean} and divides by {std}, which is invalid; give "
            "NORMALISATION=mean/std."
        )
    return tuple(mean), tuple(std)


def read(name: str) -> Mapping[str, Tensor]:
    """The weights, by their names in our network.

    Raises:
        InputError: there are none in safetensors, or not all that the configuration claims.
    """
    key = "teacher.weights"
    folder = folder_of(f"transformers:{name}", FILES, key)
    config = read_config(folder, key)
    held = sum(file.stat().st_size for file in weight_files(folder, key))
    with torch.device("meta"):
        empty = configured_network(spelt(config).partition(":")[2], channels_of(config), config.num_labels, key)
    claimed = sum(each.numel() for each in empty.parameters())
    if claimed > held:  # a weight takes at least one byte
        raise InputError(
            f"{key}: '{folder / CONFIG}' claims {claimed:,} weights, but its files are {held:,} bytes; copy it again."
        )
    auto = import_module("transformers").AutoModelForImageClassification
    try:
        with quiet_transformers():  # missing weights are reported below, in one sentence
            model, told = auto.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                dtype=torch.float32,
            )
    except Exception as error:  # a damaged file may raise anything
        raise InputError(f"{key}: '{folder}' cannot be loaded ({first_line(error)}); copy or save it again.") from error
    if missing := sorted(told["missing_keys"]) + sorted(str(each) for each in told["mismatched_keys"]):
        raise InputError(f"{key}: '{folder}' lacks {missing[0]}, so it is not a trained classifier; save it again.")
    return {f"{PREFIX}{place}": value for place, value in model.state_dict().items()}


def weight_files(folder: Path, key: str) -> list[Path]:
    """The safetensors files that hold the weights: one, or those that an index names.

    Raises:
        InputError: there are none, or the index points elsewhere.
    """
    if (folder / INDEX).is_file():
        places = read_json(folder / INDEX, key).get("weight_map")
        names = sorted({str(each) for each in places.values()}) if isinstance(places, dict) else []
        for each in names:
            if Path(each).name != each or not each.endswith(".safetensors"):
                raise InputError(
                    f"{key}: '{folder / INDEX}' points to '{each}', not to a file beside it; save it again."
                )
        found = [folder / each for each in names]
    else:
        found = [folder / WEIGHTS]
    if missing := [file for file in found if not file.is_file()]:
        pickled = " (a pickle, such as pytorch_model.bin, is never read)" if [*folder.glob("*.bin")] else ""
        raise InputError(
            f"{key}: '{missing[0]}' does not exist{pickled}; run model.save_pretrained(...) again, where "
            "you trust it, and give that folder."
        )
    return found
