"""The three functions that the pipelines call for any data set."""

import subprocess
import sys

import pytest
import torch

from nayer import datasets
from nayer.core.errors import InputError
from nayer.datasets.base import ImageSet
from nayer.datasets.config import DataConfig
from nayer.datasets.labels import DIGITS


def config(dataset: str, names: list[str] | None = None) -> DataConfig:
    return DataConfig(dataset=dataset, folder="nowhere", image_size=8, channels=None, class_names=names)


@pytest.mark.parametrize("function", [datasets.class_names, datasets.check, datasets.load])
def test_misspelt_data_set_suggests_the_nearest(function: object) -> None:
    assert callable(function)
    with pytest.raises(InputError, match="data.dataset: .*Did you mean 'digits'"):
        function(config("digit"))


def test_digest_tells_images_and_labels_apart_and_not_how_they_lie_in_memory() -> None:
    images, labels = torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2), torch.tensor([0, 1])
    digest = ImageSet(images, labels).digest()
    assert ImageSet(images.contiguous(memory_format=torch.channels_last), labels).digest() == digest
    assert ImageSet(images, labels.flip(0)).digest() != digest
    assert ImageSet(images.view(2, 3, 1, 4), labels).digest() != digest


def test_given_names_replace_the_own_ones() -> None:
    names = [f"number {index}" for index in range(10)]
    assert datasets.class_names(config("digits", names)) == tuple(names)
    assert datasets.load(config("digits", names)).class_names == tuple(names)


def test_labels_of_every_part_follow_its_own_names_in_another_order() -> None:
    as_published, backwards = (datasets.load(config("digits", names)) for names in (None, [*reversed(DIGITS)]))
    assert backwards.class_names == tuple(reversed(DIGITS))
    for part in ("train", "validation", "test"):
        own, other = getattr(as_published, part), getattr(backwards, part)
        assert torch.equal(other.images, own.images)
        assert torch.equal(other.labels, 9 - own.labels)


@pytest.mark.parametrize("function", [datasets.class_names, datasets.check, datasets.load])
def test_a_name_of_another_class_is_refused_before_anything_is_read(function: object) -> None:
    assert callable(function)
    names = ["nought", "one", "two", "three", "four", "five", "six", "seven", "nine", "eight"]
    with pytest.raises(InputError, match="data.class_names: 'nine' is class 8 .from 0., but class 9 of 'digits'"):
        function(config("digits", names))


@pytest.mark.parametrize("function", [datasets.class_names, datasets.check, datasets.load])
def test_wrong_number_of_names(function: object) -> None:
    assert callable(function)
    with pytest.raises(InputError, match="data.class_names: 2 names given, 'digits' has 10 classes"):
        function(config("digits", ["a", "b"]))


def test_image_set_is_cut_by_slice_and_by_indices() -> None:
    whole = datasets.ImageSet(torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1), torch.tensor([3, 2, 1, 0]))
    assert whole[1:3].labels.tolist() == [2, 1]
    assert whole[torch.tensor([3, 0])].images.flatten().tolist() == [3, 0]
    assert len(whole) == 4


def test_names_are_known_without_the_libraries_that_read_images() -> None:
    code = (
        "import sys; from nayer import datasets; from nayer.datasets.config import DataConfig; "
        "config = dict(dataset='cifar10', folder='x', image_size=32, channels=None, class_names=None); "
        "datasets.class_names(DataConfig(**config)); "
        "sys.exit('torchvision' in sys.modules or 'sklearn' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
