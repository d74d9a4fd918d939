"""Tiny ImageNet as published: wnids.txt, words.txt, train/<wnid>/images, val/images and val/val_annotations.txt."""

from collections import Counter
from pathlib import Path

import torch

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.datasets.base import ImageSet, RealData, channel_statistics, read_text
from nayer.datasets.config import DataConfig
from nayer.datasets.pictures import CHANNELS, list_pictures, read_pictures

SIZE = 64
FOLDER = "tiny-imagenet-200"
IDS, WORDS, ANNOTATIONS = "wnids.txt", "words.txt", "val/val_annotations.txt"
# The last twentieth of every class is held out for validation.
VALIDATION_EVERY = 20


class TinyImageNet:
    """Labels number the WordNet ids in alphabetical order, as is usual; the published val part is the test part."""

    def channels(self, config: DataConfig) -> int:
        """Always 3: grey pictures are read as RGB."""
        return CHANNELS

    def files(self, config: DataConfig) -> Path | None:
        """The folder of the extracted archive."""
        return _root(config)

    def class_names(self, config: DataConfig) -> tuple[str, ...]:
        """The first word for every class, or all its words where another class has the same first word."""
        words = {wnid: words for wnid, tab, words in (line.partition("\t") for line in _lines(config, WORDS)) if tab}
        ids = _ids(config)
        missing = [wnid for wnid in ids if wnid not in words]
        if missing:
            raise InputError(
                f"data.folder: '{_root(config) / WORDS}' has no name for '{missing[0]}': fetch Tiny ImageNet again, "
                "or set data.class_names."
            )
        first = [words[wnid].split(",")[0].strip() for wnid in ids]
        uses = Counter(first)
        return tuple(name if uses[name] == 1 else words[wnid].strip() for name, wnid in zip(first, ids, strict=True))

    def check(self, config: DataConfig) -> None:
        """Raise InputError if `data.image_size` is not that of the set, or files are missing."""
        if config.image_size != SIZE:
            raise InputError(
                f"data.image_size: {config.image_size} contradicts 'tiny_imagenet', whose images have {SIZE} pixels "
                f"a side: set it to {SIZE}."
            )
        _lines(config, ANNOTATIONS)
        for wnid in _ids(config):
            _require(config, f"train/{wnid}/images", (_root(config) / "train" / wnid / "images").is_dir())

    def load(self, config: DataConfig, class_names: tuple[str, ...]) -> RealData:
        """Read all pictures; mean and std are those of the training part."""
        everything, is_validation = _read_train(config)
        train = everything[~is_validation]
        spec = ImageSpec(SIZE, CHANNELS, *channel_statistics(train.images))
        return RealData(train, everything[is_validation], _read_val(config), class_names, spec)


def _read_train(config: DataConfig) -> tuple[ImageSet, torch.Tensor]:
    """The published training images, and a mask (N,) bool of those held out for validation."""
    files, labels, is_validation = [], [], []
    for label, wnid in enumerate(_ids(config)):
        pictures = list_pictures(_root(config) / "train" / wnid / "images")
        first = len(pictures) - max(1, len(pictures) // VALIDATION_EVERY)
        files += pictures
        labels += [label] * len(pictures)
        is_validation += [index >= first for index in range(len(pictures))]
    return ImageSet(read_pictures(_root(config), files, SIZE), torch.tensor(labels)), torch.tensor(is_validation)


def _read_val(config: DataConfig) -> ImageSet:
    label_of = {wnid: label for label, wnid in enumerate(_ids(config))}
    pairs = [line.split("\t")[:2] for line in _lines(config, ANNOTATIONS)]
    try:
        labels = torch.tensor([label_of[wnid] for _, wnid in pairs])
    except (KeyError, ValueError) as error:
        raise InputError(
            f"data.folder: '{_root(config) / ANNOTATIONS}' is damaged ({error}): fetch Tiny ImageNet again."
        ) from error
    files = [_root(config) / "val" / "images" / name for name, _ in pairs]
    return ImageSet(read_pictures(_root(config), files, SIZE), labels)


def _ids(config: DataConfig) -> list[str]:
    return sorted(_lines(config, IDS))


def _lines(config: DataConfig, name: str) -> list[str]:
    file = _root(config) / name
    _require(config, name, file.is_file())
    return [line for line in read_text(file, "data.folder").splitlines() if line.strip()]


def _require(config: DataConfig, name: str, present: bool) -> None:
    if not present:
        raise InputError(
            f"data.folder: '{config.folder}' has no '{FOLDER}/{name}', which 'tiny_imagenet' needs: fetch "
            f"http://cs231n.stanford.edu/tiny-imagenet-200.zip and extract it in '{config.folder}'."
        )


def _root(config: DataConfig) -> Path:
    return Path(config.folder) / FOLDER
