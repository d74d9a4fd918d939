"""Folders of pictures with one sub-folder per class: <folder>/{train,test}/<class>/*, or test pictures alone."""

from pathlib import Path

import torch

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.datasets.base import ImageSet, RealData, channel_statistics, composed, given_names
from nayer.datasets.config import DataConfig
from nayer.datasets.pictures import CHANNELS, check_inside, entries, list_pictures, read_pictures

# The first of every ten images of a class is held out for validation.
VALIDATION_EVERY = 10
MIN_IMAGES = 2


class ClassFolders:
    """Pictures in one folder per class; `names_in` is the sub-folder whose class folders name the classes."""

    names_in: str

    def channels(self, config: DataConfig) -> int:
        """Channels that the parameters ask for, by default 3."""
        return config.channels or CHANNELS

    def files(self, config: DataConfig) -> Path | None:
        """The folder that the parameters name."""
        return Path(config.folder)

    def class_names(self, config: DataConfig) -> tuple[str, ...]:
        """The names of the class folders, sorted."""
        return tuple(composed(folder.name) for folder in _part(config, self.names_in))


class ImageFolder(ClassFolders):
    """A user's own pictures for training and test."""

    names_in = "train"

    def check(self, config: DataConfig) -> None:
        """Raise InputError if train and test do not hold the same classes, or a class has no test pictures."""
        train, test = ({folder.name for folder in _part(config, part)} for part in ("train", "test"))
        if train != test:
            odd = min(train ^ test)
            present, absent = ("train", "test") if odd in train else ("test", "train")
            raise InputError(
                f"data.folder: '{config.folder}' has the class '{odd}' in {present} but not in {absent}: "
                "both need the same class folders."
            )
        list_test(config, "test")

    def load(self, config: DataConfig, class_names: tuple[str, ...]) -> RealData:
        """Read, resize and crop all pictures; mean and std are those of the training part."""
        everything, is_validation = _read_part(config, "train")
        test, _ = _read_part(config, "test")
        train = everything[~is_validation]
        spec = ImageSpec(config.image_size, train.images.shape[1], *channel_statistics(train.images))
        return RealData(train, everything[is_validation], test, class_names, spec)


class TestFolder(ClassFolders):
    """Labelled test pictures alone, <folder>/<class>/*: all that evaluating an existing teacher needs."""

    __test__ = False  # otherwise pytest would collect it for its name

    names_in = ""

    def check(self, config: DataConfig) -> None:
        """Raise InputError unless the folders hold pictures and are named as the classes are: names tell them apart."""
        folders = set(self.class_names(config))
        if odd := sorted(folders ^ set(given_names(config) or folders)):
            raise InputError(
                f"data.folder: the folders of '{config.folder}' must be named as the classes are, to tell which is "
                f"which; '{odd[0]}' is only among the {'folders' if odd[0] in folders else 'class names'}."
            )
        list_test(config, self.names_in)

    def load(self, config: DataConfig, class_names: tuple[str, ...]) -> RealData:
        """Read, resize and crop all pictures; a picture's class is the name of its folder."""
        pictures = list_test(config, self.names_in)
        files = [file for of_class in pictures for file in of_class]
        images = read_pictures(Path(config.folder), files, config.image_size, self.channels(config), config.crop)
        labels = torch.tensor([label for label, of_class in enumerate(pictures) for _ in of_class])
        test, nothing = ImageSet(images, labels), ImageSet(images[:0], labels[:0])
        spec = ImageSpec(config.image_size, images.shape[1], *channel_statistics(images))
        return RealData(nothing, nothing, test, class_names, spec)


def list_test(config: DataConfig, part: str) -> list[list[Path]]:
    """The test pictures in each class folder: listed before a run, as they are read only at its end."""
    return [list_pictures(folder) for folder in _part(config, part)]


def _part(config: DataConfig, part: str) -> list[Path]:
    """The class folders in the sub-folder `part`, or in the folder itself if that is empty."""
    folder = Path(config.folder) / part
    classes = _class_folders(folder, Path(config.folder)) if folder.is_dir() else []
    if not classes:
        raise InputError(
            f"data.folder: '{folder}' holds no class folders: put the pictures in '{folder}/<class>/', "
            "or correct data.folder."
        )
    return classes


def _class_folders(folder: Path, root: Path) -> list[Path]:
    found = entries(folder)
    for entry in filter(Path.is_symlink, found):
        check_inside(entry, root)
    return [entry for entry in found if entry.is_dir()]


def _read_part(config: DataConfig, part: str) -> tuple[ImageSet, torch.Tensor]:
    """The images of one part, and a mask (N,) bool of those to hold out for validation if it is `train`."""
    files, labels, is_validation = [], [], []
    for label, folder in enumerate(_part(config, part)):
        pictures = list_pictures(folder)
        if part == "train" and len(pictures) < MIN_IMAGES:
            raise InputError(
                f"data.folder: '{folder}' holds one picture, at least {MIN_IMAGES} are needed, "
                "as the first is held out for validation: add some."
            )
        files += pictures
        labels += [label] * len(pictures)
        is_validation += [index % VALIDATION_EVERY == 0 for index in range(len(pictures))]
    images = read_pictures(Path(config.folder), files, config.image_size, config.channels or CHANNELS, config.crop)
    return ImageSet(images, torch.tensor(labels)), torch.tensor(is_validation)
