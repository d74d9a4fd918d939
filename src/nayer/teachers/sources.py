"""Sources of existing teachers; a new source is a file beside this one and an entry in SOURCES.

MLflow is not among them, as this package is plain PyTorch: nayer.mlops.registry.teachers adds it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from nayer.core.errors import InputError
from nayer.core.tensors import load_tensors
from nayer.models.header import Header
from nayer.teachers import timm, transformers
from nayer.teachers.checkpoint import read_weights
from nayer.teachers.description import Description
from nayer.teachers.published import describe_published, read_published

WEIGHTS_KEY = "teacher.weights"


@dataclass(frozen=True)
class Source:
    """One origin of existing teachers, for instance a library that publishes weights."""

    describe: Callable[[str], Description]
    """Name of a teacher as the user gives it -> its description."""
    read: Callable[[str], Mapping[str, Tensor]]
    """Name in `Description.weights` -> the weights by tensor name."""
    prefixes: tuple[str, ...] = ()
    """Prefixes that mark a teacher's name as from this source; none for paths of files."""
    keeps_prefix: bool = False
    """Whether the prefix is part of the name that `describe` takes, as in a URI."""


def describe_file(name: str) -> Description:
    """Description in a classifier file of this project; of a foreign file, only its path is known.

    Raises:
        InputError: there is no such file.
    """
    file = Path(name)
    if not file.is_file():
        raise InputError(
            f"TEACHER: '{name}' is not a file; give a file path, models:/NAME/VERSION, torchvision:NAME, timm:NAME, "
            "timm:FOLDER or transformers:FOLDER."
        )
    try:
        _, said = load_tensors(file, "classifier")
        found = Header.model_validate(said)
        images, names = found.images, tuple(found.class_names)
        return Description(found.architecture, str(file), names, images.size, tuple(images.mean), tuple(images.std))
    except ValueError:  # both InputError and pydantic's ValidationError are
        return Description(None, str(file), None, None, None, None)


def read_file(name: str) -> Mapping[str, Tensor]:
    """The weights in a file."""
    return read_weights(Path(name), WEIGHTS_KEY)


SOURCES: dict[str, Source] = {
    "file": Source(describe_file, read_file),
    "torchvision": Source(
        partial(describe_published, "torchvision", key="TEACHER"),
        partial(read_published, "torchvision", key=WEIGHTS_KEY),
        ("torchvision:",),
    ),
    "timm": Source(timm.describe, timm.read, ("timm:",)),
    "transformers": Source(transformers.describe, transformers.read, ("transformers:",)),
}


def describe(teacher: str, sources: Mapping[str, Source]) -> tuple[str, Description]:
    """Name of the source that a teacher comes from, and the teacher's description.

    Raises:
        InputError: there is no such teacher.
    """
    for name, source in sources.items():
        for prefix in source.prefixes:
            if teacher.startswith(prefix):
                return name, source.describe(teacher if source.keeps_prefix else teacher.removeprefix(prefix))
    return "file", sources["file"].describe(teacher)
