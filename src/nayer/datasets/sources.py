"""Data sets and normalisations by name, and the functions that the rest of the project calls."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nayer.core.errors import InputError, unknown
from nayer.datasets.base import RealData, Source, given_names
from nayer.datasets.config import DataConfig
from nayer.datasets.folders import ImageFolder, TestFolder
from nayer.datasets.known import KNOWN
from nayer.datasets.naming import places
from nayer.datasets.no_data import NONE, NoData
from nayer.datasets.tiny_imagenet import TinyImageNet

NORMALISATIONS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    **{name: (known.spec.mean, known.spec.std) for name, known in KNOWN.items()},
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
SOURCES: Mapping[str, Source] = {
    **KNOWN,
    "tiny_imagenet": TinyImageNet(),
    "image_folder": ImageFolder(),
    "test_folder": TestFolder(),
    NONE: NoData(),
}


def class_names(config: DataConfig) -> tuple[str, ...]:
    """Names in the order of the labels: those of the parameters, otherwise the data set's own. No image is read.

    Raises:
        InputError: the data set is unknown, its names cannot be found, or the parameters give too many, too few, or a
            mixture of its own names and others that cannot be matched.
    """
    source, names = _source(config), given_names(config)
    if names is None:
        return source.class_names(config)
    if (own := own_names(config)) is not None:
        if len(names) != len(own):
            raise InputError(
                f"data.class_names: {len(names)} names given, '{config.dataset}' has {len(own)} classes: "
                "give one name per class, or null for the data set's own."
            )
        places(names, own, config.dataset)
    return names


def own_names(config: DataConfig) -> tuple[str, ...] | None:
    """The data set's own class names; None where it has none, or they lie in files that cannot be read."""
    source = _source(config)
    try:
        return source.class_names(config)
    except InputError:
        return None


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, by the name of a data set or of a common convention.

    Raises:
        InputError: the name is unknown.
    """
    if name not in NORMALISATIONS:
        raise unknown("teacher.normalisation", name, NORMALISATIONS)
    return NORMALISATIONS[name]


def files(config: DataConfig) -> Path | None:
    """The folder that holds the data set's files; None if it needs none."""
    return _source(config).files(config)


def channels(config: DataConfig) -> int | None:
    """Number of channels of the images; None without images."""
    return _source(config).channels(config)


def names_lie_in_files(config: DataConfig) -> bool:
    """Whether the class names are read from the data set's files, not from parameters or code."""
    return config.class_names is None and config.dataset not in KNOWN


def check(config: DataConfig) -> None:
    """Refuse early what `load` would refuse, as far as can be known without reading images.

    Raises:
        InputError: the data set is unknown, files are missing, or parameters contradict the set.
    """
    _source(config).check(config)
    class_names(config)


def load(config: DataConfig) -> RealData:
    """Read the data set; its parts are the same at every call, on every machine. Labels index its `class_names`.

    Raises:
        InputError: as `check`, or a file is damaged.
    """
    check(config)
    names, own = class_names(config), own_names(config)
    real = _source(config).load(config, names)
    return real if own is None else real.relabelled(places(names, own, config.dataset))


def load_for(classes: Sequence[str], config: DataConfig) -> RealData:
    """The data set as `load` reads it, for models with these classes; other words for them are taken in their order.

    Raises:
        InputError: as `load`, or there are more or fewer classes, or one of them stands at another place.
    """
    names = class_names(config)
    way_out = "set the names that the models were made with, or make both again (kedro run)"
    if len(names) != len(classes):
        raise InputError(f"data.class_names: {len(names)}, but teacher and student have {len(classes)}; {way_out}.")
    for place, name in enumerate(names):
        if name in classes and classes.index(name) != place:
            raise InputError(
                f"data.class_names: '{name}' is class {place} (from 0), but class {classes.index(name)} of teacher and "
                f"student; {way_out}."
            )
    return load(config)


def _source(config: DataConfig) -> Source:
    if config.dataset not in SOURCES:
        raise unknown("data.dataset", config.dataset, SOURCES)
    return SOURCES[config.dataset]
