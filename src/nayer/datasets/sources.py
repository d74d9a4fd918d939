"""The data sets by name."""

from collections.abc import Mapping
from pathlib import Path

from nayer.config import DataConfig
from nayer.datasets.base import RealData, Source
from nayer.datasets.folders import ImageFolder
from nayer.datasets.known import KNOWN
from nayer.datasets.tiny_imagenet import TinyImageNet
from nayer.errors import InputError, unknown

SOURCES: Mapping[str, Source] = {**KNOWN, "tiny_imagenet": TinyImageNet(), "image_folder": ImageFolder()}


def class_names(config: DataConfig) -> tuple[str, ...]:
    """Names in the order of the labels: those of the parameters, otherwise the data set's own. No image is read.

    Raises:
        InputError: the data set is unknown, its names cannot be found, or the parameters give too many or too few.
    """
    source = _source(config)
    if config.class_names is None:
        return source.class_names(config)
    count = source.count(config)
    if count is not None and len(config.class_names) != count:
        raise InputError(
            f"data.class_names: {len(config.class_names)} names given, '{config.dataset}' has {count} classes: "
            "give one name per class, or null for the data set's own."
        )
    return tuple(config.class_names)


def files(config: DataConfig) -> Path | None:
    """The folder that holds the files of the data set; None if it needs none."""
    return _source(config).files(config)


def names_lie_in_files(config: DataConfig) -> bool:
    """Whether the class names are read from those files."""
    return config.class_names is None and config.dataset not in KNOWN


def check(config: DataConfig) -> None:
    """Refuse early what `load` would refuse, as far as can be known without reading images.

    Raises:
        InputError: the data set is unknown, files are missing, or parameters contradict the set.
    """
    _source(config).check(config)
    class_names(config)


def load(config: DataConfig) -> RealData:
    """Read the data set; the parts are the same at every call, on every machine.

    Raises:
        InputError: as `check`, or a file is damaged.
    """
    check(config)
    return _source(config).load(config, class_names(config))


def _source(config: DataConfig) -> Source:
    if config.dataset not in SOURCES:
        raise unknown("data.dataset", config.dataset, SOURCES)
    return SOURCES[config.dataset]
