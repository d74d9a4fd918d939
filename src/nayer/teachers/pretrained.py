"""Load a teacher that was trained elsewhere as a classifier; no image is read."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from nayer import datasets
from nayer.core.errors import InputError, unknown
from nayer.core.files import digest
from nayer.core.images import ImageSpec
from nayer.core.tensors import tensors_digest
from nayer.datasets.config import DataConfig
from nayer.models.architectures import check_logits
from nayer.models.classifier import Classifier
from nayer.models.weights import fit
from nayer.teachers.config import TRAIN, TeacherConfig
from nayer.teachers.sources import SOURCES, WEIGHTS_KEY, Source


def load_pretrained(config: TeacherConfig, data: DataConfig, sources: Mapping[str, Source] = SOURCES) -> Classifier:
    """The classifier of `teacher.weights`, in evaluation mode, from one of the sources.

    Raises:
        InputError: the weights cannot be used, do not fit the architecture, or a parameter about them is missing.
    """
    if config.weights is None:
        raise InputError(f"{WEIGHTS_KEY}: null, but teacher.source is '{config.source}'; say which weights.")
    check_source(config, sources)
    weights = sources[config.source].read(config.weights)
    names, spec = datasets.class_names(data), image_spec(config, data)
    classifier = Classifier.build(config.architecture, names, spec, "teacher.architecture")
    fit(classifier.network, weights, f"'{config.weights}'", WEIGHTS_KEY)
    classifier.eval()
    check_logits(classifier, spec.channels, spec.size, len(names), "teacher.architecture")
    classifier.provenance = {"stage": "teacher", "source": config.source, **origin(config, weights)}
    return classifier


def check_source(config: TeacherConfig, sources: Mapping[str, Source]) -> None:
    """Refuse an unknown `teacher.source`.

    Raises:
        InputError: suggests the known one with the nearest name.
    """
    if config.source not in (TRAIN, *sources):
        raise unknown("teacher.source", config.source, (TRAIN, *sources))


def check_same_channels(teacher: Classifier, data: DataConfig) -> None:
    """Refuse real images with another number of channels than the teacher takes.

    Raises:
        InputError: names the parameters to correct.
    """
    of_data = datasets.channels(data)
    if of_data not in (None, teacher.images.channels):
        raise InputError(
            f"teacher.normalisation: it has {teacher.images.channels} values, one per channel, but the images of "
            f"'{data.dataset}' have {of_data} channels; correct it, or data.dataset, or data.channels of a folder."
        )


def origin(config: TeacherConfig, weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Provenance by which these weights can be told from others on any machine: name and digest."""
    if config.source == "file" and config.weights:
        path = Path(config.weights)
        return {"weights": path.name, "file_sha256": digest(path)}
    return {"weights": str(config.weights), "weights_sha256": tensors_digest(weights)}


def image_spec(config: TeacherConfig, data: DataConfig) -> ImageSpec:
    """Image shape and normalisation that the teacher expects.

    Raises:
        InputError: `teacher.normalisation` is missing or unknown, or its two lists differ in length.
    """
    given = config.normalisation
    if given is None:
        raise InputError(
            "teacher.normalisation: null, but an existing teacher was trained with one; give the name of a preset "
            "(cifar10, imagenet, half, none, ...) or mean and std, one value per channel."
        )
    mean, std = datasets.normalisation(given) if isinstance(given, str) else (tuple(given.mean), tuple(given.std))
    if len(mean) != len(std):
        raise InputError(
            f"teacher.normalisation: {len(mean)} values of mean and {len(std)} of std; give one of each per channel."
        )
    return ImageSpec(data.image_size, len(mean), mean, std)
