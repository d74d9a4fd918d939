"""What a user says about a teacher and its new scenario, with the checks that need no torch."""

import re
from dataclasses import dataclass
from pathlib import Path

from nayer.core.errors import InputError
from nayer.core.project import NOT_SCENARIOS, scenarios

MODEL = "fashion_mnist"
LEAST_MINUTES, MOST_MINUTES = 3, 100_000
NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


@dataclass(frozen=True)
class TeacherOptions:
    """What a user says about a teacher and the scenario to create for it."""

    teacher: str
    """A file of weights, an MLflow URI, torchvision:NAME, timm:NAME, timm: or transformers: with a folder or hub id."""
    architecture: str | None = None
    class_names: str | None = None
    """Text file, one name a line, in the order of the teacher's classes."""
    image_size: int | None = None
    normalisation: str | None = None
    """Name of a preset, or `mean/std` with commas between the channels: 0.286/0.353."""
    test_data: str = "none"
    """A data set by name, a folder with one sub-folder of pictures per class, or none."""
    crop: float | None = None
    """Share of a picture's shorter side that the teacher is shown; left out, what the teacher's files say, or all."""
    student: str | None = None
    method: str | None = None
    """Method of synthesis, with its published settings; left out, the one of the distillation that is taken over."""
    like: str | None = None
    """Scenario from which the distillation is taken over; left out, MODEL or, with `minutes`, the recipe for them."""
    minutes: float | None = None
    """Minutes that a run of the scenario may take on this machine; left out, the schedule of `like` is kept."""


def check_options(project: Path, name: str, options: TeacherOptions) -> None:
    """Refuse a name that is taken or invalid, missing files, and values out of range.

    Raises:
        InputError: the first mistake found; nothing is written.
    """
    if not NAME.fullmatch(name) or name in NOT_SCENARIOS:
        raise InputError(
            f"NAME: '{name}' is not a valid name; use another, of lower-case letters, digits and underscores."
        )
    if (project / "conf" / name).exists():
        raise InputError(f"NAME: the scenario '{name}' exists; use another name, or change its files in conf/{name}.")
    like = options.like or MODEL
    if like not in scenarios(project) or not (project / "conf" / like / "parameters_distill.yml").is_file():
        raise InputError(f"LIKE: there is no scenario '{like}' with a distillation to take over.")
    if ":" not in options.teacher and not Path(options.teacher).is_file():
        raise InputError(
            f"TEACHER: '{options.teacher}' is not a file; give a file path, models:/NAME/VERSION, torchvision:NAME, "
            "timm:NAME, timm:FOLDER or transformers:FOLDER."
        )
    if options.class_names and not Path(options.class_names).exists():
        raise InputError(f"CLASS_NAMES: '{options.class_names}' does not exist; give a text file with a name per line.")
    if "/" in options.test_data and not Path(options.test_data).is_dir():
        raise InputError(
            f"TEST_DATA: '{options.test_data}' is not a folder; give one of pictures by class, or a data set."
        )
    if options.image_size is not None and options.image_size < 1:
        raise InputError(f"IMAGE_SIZE: {options.image_size} is refused; give the side of its images in pixels.")
    if options.crop is not None and not 0 < options.crop <= 1:
        raise InputError(
            f"CROP: {options.crop:g} is refused; give the share of a picture's shorter side that is shown, above 0 and "
            "at most 1, such as 0.875 for Resize(256) and CenterCrop(224)."
        )
    if options.minutes is not None and not LEAST_MINUTES <= options.minutes <= MOST_MINUTES:
        raise InputError(f"MINUTES: {options.minutes:g} is refused; give {LEAST_MINUTES} to {MOST_MINUTES:,}.")
    if options.normalisation:
        preset_or_values(options.normalisation)
    if ":" not in options.teacher and not may_describe_itself(Path(options.teacher)):
        check_said(
            options.teacher,
            ARCHITECTURE=options.architecture,
            CLASS_NAMES=options.class_names,
            IMAGE_SIZE=options.image_size,
            NORMALISATION=options.normalisation,
        )


def check_said(teacher: str, **said: object) -> None:
    """Refuse to create a scenario if something about the teacher is neither given nor known from the teacher itself.

    Raises:
        InputError: names the first value that is missing.
    """
    if missing := [key for key, value in said.items() if not value]:
        raise InputError(f"{missing[0]}: is missing, and '{teacher}' does not say; give it.")


def may_describe_itself(file: Path) -> bool:
    """Whether it begins as a safetensors file: this project's own tell all that is asked, all other files nothing."""
    with file.open("rb") as opened:
        return opened.read(9)[8:] == b"{"


def preset_or_values(text: str) -> str | dict[str, list[float]]:
    """Normalisation as a parameter: `cifar10` stays as it is, `0.5,0.5/0.2,0.2` becomes mean and std."""
    if "/" not in text:
        return text
    try:
        mean, std = ([float(value) for value in part.split(",")] for part in text.split("/"))
    except ValueError as error:
        raise InputError(
            f"NORMALISATION: '{text}' is neither a preset nor mean/std; write for instance cifar10, or 0.286/0.353, or "
            "0.5,0.5,0.5/0.2,0.2,0.2."
        ) from error
    return {"mean": mean, "std": std}
