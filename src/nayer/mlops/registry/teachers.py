"""Teachers in an MLflow store: their weights, read without unpickling, and the description logged with them."""

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
# In order of preference, if a model comes in several formats.
FORMATS = ("*.safetensors", "*.pt2", "*.pth", "*.pt", "*.bin")
ALIAS = re.compile(r"models:/(?P<name>[^/@]+)@(?P<alias>[^/@]+)")


# Cached, as both the check before a run and the run itself read the weights.
@lru_cache(maxsize=1)
def registered_weights(uri: str) -> Mapping[str, Tensor]:
    """Weights behind `models:/name/3`, `models:/name@alias`, or `runs:/id/path`.

    Raises:
        InputError: nothing is found there, or nothing that can be read without running code.
    """
    with downloaded(uri) as folder:
        return read_weights(weights_file(folder, uri), WEIGHTS_KEY)


def registered_description(uri: str) -> Description:
    """Description from the model's metadata and signature: `architecture`, `class_names`, `mean`, `std`, image size.

    An alias is resolved to its current version, so that the same parameters always mean the same teacher.

    Raises:
        InputError: there is no such model, or its file MLmodel is damaged.
    """
    uri = pinned(uri)
    with downloaded(uri) as folder:
        try:
            model = Model.load(str(folder)) if (folder / "MLmodel").is_file() else Model()
            metadata, side = dict(model.metadata or {}), image_side(model)
        except Exception as error:  # malformed YAML can raise anything
            raise InputError(
                f"{WEIGHTS_KEY}: the file MLmodel of '{uri}' is damaged ({first_line(error)}); log the model again."
            ) from error

    def listed(key: str) -> tuple[Any, ...] | None:
        return tuple(metadata[key]) if isinstance(metadata.get(key), list) else None

    told = metadata.get("architecture")
    architecture = told if isinstance(told, str) else None
    return Description(architecture, uri, listed("class_names"), side, listed("mean"), listed("std"))


def image_side(model: Model) -> int | None:
    """Side, in pixels, of the square images that the signature expects; None if it states none."""
    asked = model.signature.inputs.inputs if model.signature and model.signature.inputs else [None]
    shape = tuple(getattr(asked[0], "shape", ()))
    return int(shape[-1]) if len(shape) > 2 and shape[-2] == shape[-1] > 0 else None


def pinned(uri: str) -> str:
    """Resolve `models:/name@alias` to `models:/name/version`; any other URI is returned unchanged."""
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
    """Download the files behind a URI into a folder that is deleted afterwards."""
    with TemporaryDirectory() as folder:
        try:
            found = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder))
        except (MlflowException, RequestException, OSError) as error:
            raise cannot_fetch(uri, error) from error
        yield found


def cannot_fetch(uri: str, error: Exception) -> InputError:
    """Error for a URI whose files cannot be fetched."""
    return InputError(
        f"{WEIGHTS_KEY}: '{uri}' cannot be fetched ({first_line(error)}); correct it, or set "
        "MLFLOW_TRACKING_URI to the store that has it."
    )


def weights_file(folder: Path, uri: str) -> Path:
    """The only file of weights among those of a model, in the most preferred format.

    Raises:
        InputError: there is none, or several in that format.
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
