"""A scenario for a teacher that somebody brings: the files of `conf/<name>`, made from a scenario of like images."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kedro.config import OmegaConfigLoader
from pydantic import ValidationError

from nayer import settings
from nayer.config import DataConfig, TeacherConfig, check_types
from nayer.datasets import NONE
from nayer.datasets.sources import SOURCES
from nayer.errors import InputError
from nayer.files import load_tensors
from nayer.mlops.teachers import SCHEMES, registered_description, registered_weights
from nayer.models.architectures import is_own
from nayer.models.classifier import Classifier
from nayer.models.header import Header
from nayer.models.published import LIBRARIES, Description, described
from nayer.pipeline_registry import CHAIN
from nayer.preflight import check_parameters
from nayer.scenarios import NOT_SCENARIOS
from nayer.training.existing import existing_teacher

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
NAMES_FILE = "class_names.txt"


@dataclass(frozen=True)
class Brought:
    """What the owner of a teacher says about it."""

    teacher: str
    """A file of weights, an MLflow URI, torchvision:NAME or timm:NAME."""
    architecture: str | None = None
    class_names: str | None = None
    """Text file, one name a line, in the order of the teacher's classes."""
    image_size: int | None = None
    normalisation: str | None = None
    """Name of a preset, or `mean/std` with commas between the channels: 0.286/0.353."""
    test_data: str = NONE
    """A data set by name, a folder with one sub-folder of pictures per class, or none."""
    student: str | None = None
    like: str = "fashion_mnist"
    """The scenario from which the distillation is taken over."""


def create(project: Path, name: str, brought: Brought) -> Classifier:
    """Write `conf/<name>`; the teacher is tried first and returned.

    Raises:
        InputError: the name is taken or none, or the teacher cannot be used; nothing is written.
    """
    if not NAME.fullmatch(name) or name in NOT_SCENARIOS:
        raise InputError(f"NAME: '{name}' is no name for a scenario; take small letters, digits and underscores.")
    folder = project / "conf" / name
    if folder.exists():
        raise InputError(f"NAME: the scenario '{name}' exists; take another name, or change its files in conf/{name}.")
    groups = parameters(project, brought)
    try:
        data = DataConfig.model_validate({"channels": None, **groups["data"]})
        teacher = TeacherConfig.model_validate(groups["teacher"])
    except ValidationError as error:
        first = error.errors()[-1]  # of a value that may be a name or numbers, what is wrong with the numbers
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{key}: {first['input']!r} is refused. {first['msg']}; say it otherwise.") from error
    found = existing_teacher(teacher, data, registered_weights)
    if data.dataset == "test_folder":
        groups["data"]["channels"] = found.images.channels
    # They travel with git, wherever they came from.
    groups["data"]["class_names"] = f"conf/{name}/{NAMES_FILE}"
    part = project / "conf" / f"{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        for group, values in groups.items():
            (part / f"parameters_{group}.yml").write_text(yaml.safe_dump({group: values}, sort_keys=False))
        (part / NAMES_FILE).write_text("".join(f"{each}\n" for each in found.class_names))
        (part / "globals.yml").write_text(f"scenario: {name}\n")
        check_as_run(project, part.name, list(found.class_names))
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return found


def check_as_run(project: Path, env: str, class_names: list[str]) -> None:
    """What a run of the scenario would refuse is refused before the name is taken."""
    merged = OmegaConfigLoader(str(project / "conf"), env=env, **settings.CONFIG_LOADER_ARGS)["parameters"]
    merged["data"]["class_names"] = class_names  # their file is not yet in its place
    check_types(merged)
    check_parameters(merged, CHAIN)


def parameters(project: Path, brought: Brought) -> dict[str, dict[str, Any]]:
    """The groups of parameters of the new scenario."""
    known = brought.test_data in SOURCES
    source, about = find(brought.teacher)
    own = {"mean": list(about.mean), "std": list(about.std)} if about.mean and about.std else None
    normalisation = preset_or_values(brought.normalisation) if brought.normalisation else own
    told = about.architecture
    if told and is_own(told) and not brought.architecture:
        raise InputError(f"ARCHITECTURE: '{brought.teacher}' names the code '{told}'; say it yourself if you trust it.")
    said = {
        "ARCHITECTURE": brought.architecture or told,
        "CLASS_NAMES": brought.class_names or (about.class_names and list(about.class_names)),
        "IMAGE_SIZE": brought.image_size or about.image_size,
        "NORMALISATION": normalisation,
    }
    if missing := [key for key, value in said.items() if not value]:
        raise InputError(f"{missing[0]}: is missing, and '{brought.teacher}' does not tell it.")
    data = {
        "dataset": brought.test_data if known else "test_folder",
        "folder": "data/01_raw" if known else brought.test_data,
        "image_size": said["IMAGE_SIZE"],
        "class_names": said["CLASS_NAMES"],
    }
    teacher = {
        "source": source,
        "weights": about.weights,
        "architecture": said["ARCHITECTURE"],
        "normalisation": normalisation,
        "training": None,
    }
    model = project / "conf" / brought.like / "parameters_distill.yml"
    if not NAME.fullmatch(brought.like) or not model.is_file():
        raise InputError(f"LIKE: there is no scenario '{brought.like}' with a distillation to take over.")
    distill = yaml.safe_load(model.read_text())["distill"]
    if brought.student:
        distill["student"]["architecture"] = brought.student
    return {"data": data, "lte": {}, "teacher": teacher, "distill": distill, "evaluate": {}, "promote": {}}


def find(teacher: str) -> tuple[str, Description]:
    """Where a teacher comes from, and what it says about itself.

    Raises:
        InputError: there is no such teacher.
    """
    library, _, name = teacher.partition(":")
    if library in LIBRARIES:
        return library, described(library, name, "TEACHER")
    if teacher.startswith(SCHEMES):
        return "mlflow", registered_description(teacher)
    if not Path(teacher).is_file():
        raise InputError(
            f"TEACHER: '{teacher}' is no file; give the path of one, models:/NAME/VERSION, torchvision:NAME or "
            "timm:NAME."
        )
    return "file", description_in(Path(teacher))


def description_in(file: Path) -> Description:
    """What a classifier file of this project says; a foreign file says nothing."""
    try:
        _, said = load_tensors(file, "classifier")
        found = Header.model_validate(said)
        images, names = found.images, tuple(found.class_names)
        return Description(found.architecture, str(file), names, images.size, tuple(images.mean), tuple(images.std))
    except ValueError:  # InputError and pydantic's
        return Description(None, str(file), None, None, None, None)


def preset_or_values(text: str) -> str | dict[str, list[float]]:
    """`cifar10` as it is, `0.5,0.5/0.2,0.2` as mean and std."""
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
