"""A teacher that was trained elsewhere, as a classifier; no image is read."""

from pathlib import Path

from nayer import datasets
from nayer.config import DataConfig, TeacherConfig
from nayer.errors import InputError
from nayer.files import digest
from nayer.images import ImageSpec
from nayer.models.classifier import Classifier
from nayer.models.foreign import fit, read_weights

KEY = "teacher.file"


def existing_teacher(config: TeacherConfig, data: DataConfig) -> Classifier:
    """The classifier of `teacher.file`, in evaluation mode.

    Raises:
        InputError: the file cannot be used, does not fit the architecture, or something about it is not said.
    """
    if config.file is None:
        raise InputError(f"{KEY}: null, but teacher.source is 'file'; give the path of the weights.")
    path = Path(config.file)
    weights = read_weights(path, KEY)
    classifier = Classifier.build(
        config.architecture, datasets.class_names(data), image_spec(config, data), "teacher.architecture"
    )
    fit(classifier.network, weights, f"'{path}'", KEY)
    classifier.provenance = {"stage": "teacher", "file": path.name, "file_sha256": digest(path)}
    return classifier.eval()


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
