"""What all data sets have in common: labelled images, their fixed parts, and the interface of a source."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.datasets.config import DataConfig

MAX_TEXT_BYTES = 2**24
LEVELS = 256
DECIMALS = 4


# eq=False: tensors compare element by element, which gives no single answer.
@dataclass(frozen=True, eq=False)
class ImageSet:
    """`images` (N, C, H, W) uint8 and `labels` (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: slice | Tensor) -> ImageSet:
        """The images and labels at a slice, or at a tensor of indices."""
        return ImageSet(self.images[chosen], self.labels[chosen])

    def relabelled(self, places: list[int]) -> ImageSet:
        """The same images with class k relabelled as class `places[k]`."""
        return ImageSet(self.images, torch.tensor(places)[self.labels])

    def digest(self) -> str:
        """SHA-256 over shape, pixels and labels: equal for equal images in the same order, however they were stored."""
        total = hashlib.sha256(str(tuple(self.images.shape)).encode())
        for tensor in (self.images, self.labels):
            total.update(tensor.contiguous().numpy().tobytes())
        return total.hexdigest()


@dataclass(frozen=True, eq=False)
class RealData:
    """A data set in three fixed parts: nothing, not even a seed, moves an image from one to another.

    The teacher learns from `train`, recipes are chosen on `validation`, and `test` is used to choose nothing.
    """

    train: ImageSet
    validation: ImageSet
    test: ImageSet
    class_names: tuple[str, ...]
    spec: ImageSpec

    def relabelled(self, places: list[int]) -> RealData:
        """The same images with class k relabelled as class `places[k]`."""
        train, validation, test = (part.relabelled(places) for part in (self.train, self.validation, self.test))
        return replace(self, train=train, validation=validation, test=test)


class Source(Protocol):
    """Interface of one kind of data set."""

    def channels(self, config: DataConfig) -> int | None:
        """Number of channels of the images; None where there are no images."""

    def files(self, config: DataConfig) -> Path | None:
        """The folder that holds the data set's files and nothing else; None if it needs no files."""

    def class_names(self, config: DataConfig) -> tuple[str, ...]:
        """The data set's own names, in the order of the labels; no image is read."""

    def check(self, config: DataConfig) -> None:
        """Raise InputError if files are missing or parameters contradict the set; no image is read."""

    def load(self, config: DataConfig, class_names: tuple[str, ...]) -> RealData:
        """Read all images; labels follow the order of the data set's own classes, whatever `class_names` calls them."""


def given_names(config: DataConfig) -> tuple[str, ...] | None:
    """The class names that the parameters list, or the lines of the text file that they point to; None without either.

    Raises:
        InputError: the file cannot be read.
    """
    names = config.class_names
    if isinstance(names, str):
        names = [line.strip() for line in read_text(Path(names), "data.class_names").rstrip().splitlines()]
    return None if names is None else tuple(map(composed, names))


def composed(name: str) -> str:
    """A name in one form of Unicode, as macOS writes an accent in the name of a folder apart from its letter."""
    return unicodedata.normalize("NFC", name)


def read_text(file: Path, key: str) -> str:
    """The content of a text file of names.

    Raises:
        InputError: it is missing, too large, not text, or no regular file; `key` is the parameter in the message.
    """
    try:
        # Reading a pipe would never end.
        if file.exists() and (not file.is_file() or file.stat().st_size > MAX_TEXT_BYTES):
            raise OSError(f"not a file, or larger than {MAX_TEXT_BYTES / 2**20:.0f} MiB")
        return file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{key}: '{file}' cannot be read as a text file ({error}); give one with a name per line, or a list."
        ) from error


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 (N, C, H, W), on the [0, 1] scale, to four decimals."""
    levels = torch.arange(LEVELS, dtype=torch.float64) / (LEVELS - 1)
    means, deviations = [], []
    for channel in images.unbind(dim=1):
        # By counting levels, as float copies would take four times the memory of the data.
        shares = torch.bincount(channel.flatten(), minlength=LEVELS).to(torch.float64) / channel.numel()
        mean = (shares * levels).sum()
        deviation = (shares * (levels - mean).square()).sum().sqrt().item()
        means.append(round(mean.item(), DECIMALS))
        # A channel of a single value would otherwise be divided by zero.
        deviations.append(round(max(deviation, 1 / (LEVELS - 1)), DECIMALS))
    return tuple(means), tuple(deviations)
