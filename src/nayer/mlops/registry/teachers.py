"""A teacher in an MLflow store: its weights, read without running a pickle, and what it says about itself."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from requests import RequestException
from torch import Tensor

from nayer.core.errors import InputError, first_line
from nayer.teachers import sources
from nayer.teachers.checkpoint import read_weights
from nayer.teachers.description import Description
from nayer.teachers.sources import WEIGHTS_KEY, Source

SCHEMES = ("models:/", "runs:/")
# In the order in which they are taken, if a model comes in several formats.
FORMATS = ("*.safetensors", "*.pt2", "*.pth", "*.pt", "*.bin")
ALIAS = re.compile(r"models:/(?P<name>[^/@]+)@(?P<alias>[^/@]+)")


# Checked before a run and used in it: fetched once.
@lru_cache(maxsize=1)
def registered_weights(uri: str) -> Mapping[str, Tensor]:
    """The weights behind `models:/name/3`, `models:/name@alias`, or `runs:/id/path`.

    Raises:
        InputError: there is nothing, or nothing that can be read as data.
    """
    with downloaded(uri) as folder:
        return read_weights(weights_file(folder, uri), WEIGHTS_KEY)


def registered_description(uri: str) -> Description:
    """What the model's metadata and signature tell: `architecture`, `class_names`, `mean`, `std`, the image size.

    An alias becomes the version that has it now, so that the same parameters always mean the same teacher.

    Raises:
        InputError: there is no such model.
    """
    uri = pinned(uri)
    with downloaded(uri) as folder:
        try:
            model = Model.load(str(folder)) if (folder / "MLmodel").is_file() else Model()
            metadata, side = dict(model.metadata or {}), image_side(model)
        except Exception as error:  # YAML that somebody wrote may raise anything
            raise InputError(
                f"{WEIGHTS_KEY}: the file MLmodel of '{uri}' is damaged ({first_line(error)}); log the model again."
            ) from error

    def listed(key: str) -> tuple[Any, ...] | None:
        return tuple(metadata[key]) if isinstance(metadata.get(key), list) else None

    told = metadata.get("architecture")
    architecture = told if isinstance(told, str) else None
    return Description(architecture, uri, listed("class_names"), side, listed("mean"), listed("std"))


def image_side(model: Model) -> int | None:
    """Of the square images that the signature asks for; None if it says nothing of the kind."""
    asked = model.signature.inputs.inputs if model.signature and model.signature.inputs else [None]
    shape = tuple(getattr(asked[0], "shape", ()))
    return int(shape[-1]) if len(shape) > 2 and shape[-2] == shape[-1] > 0 else None


def pinned(uri: str) -> str:
    """`models:/name@alias` as `models:/name/version`; any other URI as it is."""
    match = ALIAS.fullmatch(uri)
    if match is None:
        return uri
    try:
        found = mlflow.MlflowClient().get_model_version_by_alias(match["name"], match["alias"])
    except MlflowException as error:
        raise cannot_fetch(uri, error) from error
    return f"models:/{match['name']}/{found.version}"


@contextmanager
def downloaded(uri: str) -> Iterator[Path]:
    """The files behind a URI, for as long as they are read."""
    with TemporaryDirectory() as folder:
        try:
            found = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder))
        except (MlflowException, RequestException, OSError) as error:
            raise cannot_fetch(uri, error) from error
        yield found


def cannot_fetch(uri: str, error: Exception) -> InputError:
    """The error for a URI behind which there is nothing."""
    return InputError(
        f"{WEIGHTS_KEY}: '{uri}' cannot be fetched ({first_line(error)}); correct it, or set "
        "MLFLOW_TRACKING_URI to the store that has it."
    )


def weights_file(folder: Path, uri: str) -> Path:
    """The one file with weights among those of a model.

    Raises:
        InputError: there is none, or several.
    """
    if folder.is_file():
        return folder
    for pattern in FORMATS:
        found = sorted(folder.rglob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(file.relative_to(folder)) for file in found)
            raise InputError(
                f"{WEIGHTS_KEY}: '{uri}' has several files of weights ({names}); name one: runs:/<run>/<file>."
            )
    raise InputError(
        f"{WEIGHTS_KEY}: '{uri}' has no file of weights ({', '.join(FORMATS)}); log the model's state dict."
    )


SOURCES = {
    **sources.SOURCES,
    "mlflow": Source(registered_description, registered_weights, SCHEMES, keeps_prefix=True),
}
