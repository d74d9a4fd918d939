"""A teacher that was trained elsewhere, as a classifier; no image is read."""

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from nayer import datasets
from nayer.config import DataConfig, TeacherConfig
from nayer.errors import InputError
from nayer.files import digest, tensors_digest
from nayer.images import ImageSpec
from nayer.models.architectures import check_logits
from nayer.models.classifier import Classifier
from nayer.models.foreign import fit, read_weights
from nayer.models.published import published_weights

KEY = "teacher.weights"
Fetch = Callable[[str], Mapping[str, Tensor]]


def existing_teacher(config: TeacherConfig, data: DataConfig, fetch: Fetch) -> Classifier:
    """The classifier of `teacher.weights`, in evaluation mode; `fetch` gives the weights behind an MLflow URI.

    Raises:
        InputError: the weights cannot be used, do not fit the architecture, or something about them is not said.
    """
    if config.weights is None:
        raise InputError(f"{KEY}: null, but teacher.source is '{config.source}'; say which weights.")
    weights = read(config.source, config.weights, fetch)
    names, spec = datasets.class_names(data), image_spec(config, data)
    classifier = Classifier.build(config.architecture, names, spec, "teacher.architecture")
    fit(classifier.network, weights, f"'{config.weights}'", KEY)
    classifier.eval()
    check_logits(classifier, spec.channels, spec.size, len(names), "teacher.architecture")
    classifier.provenance = {"stage": "teacher", "source": config.source, **origin(config, weights)}
    return classifier


def read(source: str, name: str, fetch: Fetch) -> Mapping[str, Tensor]:
    """The weights by name of a tensor."""
    if source == "file":
        return read_weights(Path(name), KEY)
    return fetch(name) if source == "mlflow" else published_weights(source, name, KEY)


def origin(config: TeacherConfig, weights: Mapping[str, Tensor]) -> dict[str, str]:
    """What tells these weights from others, on any machine."""
    if config.source == "file" and config.weights:
        path = Path(config.weights)
        return {"weights": path.name, "file_sha256": digest(path)}
    return {"weights": str(config.weights), "weights_sha256": tensors_digest(weights)}


def image_spec(config: TeacherConfig, data: DataConfig) -> ImageSpec:
    """What the teacher expects of an image.

    Raises:
        InputError: `teacher.normalisation` is missing or unknown, or its two lists differ in length.
    """
    given = config.normalisation
    if given is None:
        raise InputError(
            "teacher.normalisation: null, but a teacher that exists was trained with one; give the name of a preset "
            "(cifar10, imagenet, half, none, ...) or mean and std, one value per channel."
        )
    mean, std = datasets.normalisation(given) if isinstance(given, str) else (tuple(given.mean), tuple(given.std))
    if len(mean) != len(std):
        raise InputError(
            f"teacher.normalisation: {len(mean)} values of mean and {len(std)} of std; give one of each per channel."
        )
    return ImageSpec(data.image_size, len(mean), mean, std)
