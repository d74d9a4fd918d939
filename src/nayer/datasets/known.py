"""Sets whose classes, size and statistics are known beforehand: digits, Fashion-MNIST, CIFAR-10 and CIFAR-100.

Scikit-learn and torchvision are imported only when images are read: they take a second each, and class names and
checks need neither.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nayer.core.errors import InputError, first_line
from nayer.core.images import ImageSpec
from nayer.datasets import labels
from nayer.datasets.base import ImageSet, RealData
from nayer.datasets.config import DataConfig

DIGIT_LEVELS = 16
DIGITS_TEST = 540
DIGITS_VALIDATION = 0.2
# Seed of the split: part of the data set's definition, as a file order would be, and so no parameter.
DIGITS_SPLIT = 0

UBYTE_FILES = tuple(
    f"FashionMNIST/raw/{part}-{content}-ubyte"
    for part in ("train", "t10k")
    for content in ("images-idx3", "labels-idx1")
)
CIFAR10_FILES = tuple(
    f"cifar-10-batches-py/{name}"
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")
)
CIFAR100_FILES = tuple(f"cifar-100-python/{name}" for name in ("train", "test", "meta"))


@dataclass(frozen=True)
class KnownSet:
    """A data set with fixed files.

    `read` takes the folder and gives the training images in their published order, and the test images; the last
    `validation_size` training images are the validation part.
    """

    name: str
    names: tuple[str, ...]
    spec: ImageSpec
    required: tuple[str, ...]
    advice: str
    validation_size: int
    read: Callable[[Path], tuple[ImageSet, ImageSet]]

    def channels(self, config: DataConfig) -> int:
        """Channels of the images."""
        return self.spec.channels

    def files(self, config: DataConfig) -> Path | None:
        """The folder of the published files; None if there are none."""
        return (Path(config.folder) / self.required[0]).parent if self.required else None

    def class_names(self, config: DataConfig) -> tuple[str, ...]:
        """The published names."""
        return self.names

    def check(self, config: DataConfig) -> None:
        """Raise InputError if `data.image_size` is not that of the set, or a file is missing."""
        if config.image_size != self.spec.size:
            raise InputError(
                f"data.image_size: {config.image_size} contradicts '{self.name}', whose images have "
                f"{self.spec.size} pixels a side: set it to {self.spec.size}."
            )
        missing = [name for name in self.required if not (Path(config.folder) / name).is_file()]
        if missing:
            raise InputError(
                f"data.folder: '{config.folder}' has no '{missing[0]}', which '{self.name}' needs: "
                f"{self.advice.format(folder=config.folder)}."
            )

    def load(self, config: DataConfig, class_names: tuple[str, ...]) -> RealData:
        """Read the files; raise InputError if they are damaged."""
        try:
            train, test = self.read(Path(config.folder))
            self._check_content(train, test)
        except Exception as error:  # torchvision raises many kinds for a file with the wrong content
            raise InputError(
                f"data.folder: the files of '{self.name}' in '{config.folder}' are damaged ({first_line(error)}): "
                f"replace them; {self.advice.format(folder=config.folder)}."
            ) from error
        first = len(train) - self.validation_size
        return RealData(train[:first], train[first:], test, class_names, self.spec)

    def _check_content(self, train: ImageSet, test: ImageSet) -> None:
        shape = (self.spec.channels, self.spec.size, self.spec.size)
        for part in (train, test):
            if part.images.shape != (len(part), *shape):
                raise ValueError(f"{tuple(part.images.shape)} images for {len(part)} labels")
            if not len(part) or part.labels.min() < 0 or part.labels.max() >= len(self.names):
                raise ValueError(f"labels are not all among the {len(self.names)} classes")
        if len(train) <= self.validation_size:
            raise ValueError(f"{len(train)} training images, more than {self.validation_size} are needed")


def _read_digits(folder: Path) -> tuple[ImageSet, ImageSet]:
    """The digits that ship with scikit-learn; the stratified validation images are the last training images."""
    digits: Any = import_module("sklearn.datasets").load_digits()
    images = torch.from_numpy(digits.images).mul(255 / DIGIT_LEVELS).round().to(torch.uint8).unsqueeze(1)
    everything = ImageSet(images, torch.from_numpy(digits.target).to(torch.int64))
    rest, test = _stratified(torch.arange(len(everything)), everything.labels, DIGITS_TEST)
    train, validation = _stratified(rest, everything.labels, DIGITS_VALIDATION)
    return everything[torch.cat([train, validation])], everything[test]


def _stratified(indices: Tensor, all_labels: Tensor, second: float) -> tuple[Tensor, Tensor]:
    """Split indices in two with equal shares of every class; `second` is the number or the share of the second part."""
    split: Any = import_module("sklearn.model_selection").train_test_split
    first, second = split(
        indices.numpy(), test_size=second, random_state=DIGITS_SPLIT, stratify=all_labels[indices].numpy()
    )
    return torch.from_numpy(first), torch.from_numpy(second)


def _read_fashion_mnist(folder: Path) -> tuple[ImageSet, ImageSet]:
    kind: Any = import_module("torchvision.datasets").FashionMNIST
    train, test = kind(folder, train=True, download=False), kind(folder, train=False, download=False)
    return ImageSet(train.data.unsqueeze(1), train.targets), ImageSet(test.data.unsqueeze(1), test.targets)


def _read_cifar(kind: str) -> Callable[[Path], tuple[ImageSet, ImageSet]]:
    def read_part(folder: Path, train: bool) -> ImageSet:
        # Torchvision compares the md5 of every file before it unpickles one: foreign pickles are never run.
        part: Any = getattr(import_module("torchvision.datasets"), kind)(folder, train=train, download=False)
        return ImageSet(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets))

    return lambda folder: (read_part(folder, True), read_part(folder, False))


KNOWN: Mapping[str, KnownSet] = {
    known.name: known
    for known in (
        KnownSet(
            name="digits",
            names=labels.DIGITS,
            spec=ImageSpec(8, 1, (0.3065,), (0.3763,)),
            required=(),
            advice="reinstall scikit-learn",
            validation_size=252,
            read=_read_digits,
        ),
        KnownSet(
            name="fashion_mnist",
            names=labels.FASHION_MNIST,
            spec=ImageSpec(28, 1, (0.2860,), (0.3530,)),
            required=UBYTE_FILES,
            advice="install the Debian package dataset-fashion-mnist and run 'make fashion-mnist', or unpack the four "
            "*-ubyte.gz files of https://github.com/zalandoresearch/fashion-mnist into '{folder}/FashionMNIST/raw'",
            validation_size=10_000,
            read=_read_fashion_mnist,
        ),
        KnownSet(
            name="cifar10",
            names=labels.CIFAR10,
            spec=ImageSpec(32, 3, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
            required=CIFAR10_FILES,
            advice="fetch cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html and extract it in "
            "'{folder}', which gives '{folder}/cifar-10-batches-py'",
            validation_size=5_000,
            read=_read_cifar("CIFAR10"),
        ),
        KnownSet(
            name="cifar100",
            names=labels.CIFAR100,
            spec=ImageSpec(32, 3, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
            required=CIFAR100_FILES,
            advice="fetch cifar-100-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html and extract it in "
            "'{folder}', which gives '{folder}/cifar-100-python'",
            validation_size=5_000,
            read=_read_cifar("CIFAR100"),
        ),
    )
}
