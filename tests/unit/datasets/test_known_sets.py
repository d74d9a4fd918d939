"""Digits, Fashion-MNIST and CIFAR: fixed splits, right constants, clear errors where files are missing."""

import gzip
import hashlib
import pickle
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from sklearn.datasets import load_digits

from nayer import datasets
from nayer.core.errors import InputError
from nayer.datasets import labels, sources
from nayer.datasets.base import channel_statistics
from nayer.datasets.config import DataConfig
from nayer.datasets.known import KNOWN

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
# Digests of images and labels of train, validation, test.
PINNED = [
    "a47ff4c735ea2cee961b0f90c9534ea8",
    "c37e38587d3f90c25bb5f7707d1ede52",
    "dbf3da11ae17c2af12f9e0d92f950d5f",
]


def config(dataset: str, folder: Path | str = "nowhere", size: int | None = None) -> DataConfig:
    side = size or KNOWN[dataset].spec.size
    return DataConfig(dataset=dataset, folder=str(folder), image_size=side, channels=None, class_names=None)


def digest(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()[:16]


def write_ubyte(path: Path, array: np.ndarray) -> None:
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """60 + 20 images; image i is filled with the value i."""
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 60), ("t10k", 20)):
        filled = np.broadcast_to(np.arange(count)[:, None, None], (count, 28, 28))
        write_ubyte(raw / f"{part}-images-idx3-ubyte", filled)
        write_ubyte(raw / f"{part}-labels-idx1-ubyte", np.arange(count) % 10)
    small = replace(KNOWN["fashion_mnist"], validation_size=10)
    monkeypatch.setattr(sources, "SOURCES", {**sources.SOURCES, "fashion_mnist": small})
    return tmp_path


def test_digits_are_all_there_once() -> None:
    data = datasets.load(config("digits"))
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [1005, 252, 540]
    images = torch.cat([part.images for part in parts])
    assert (images.shape, images.dtype, parts[0].labels.dtype) == ((1797, 1, 8, 8), torch.uint8, torch.int64)
    ours = sorted(image.numpy().tobytes() for image in images)
    theirs = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    assert ours == sorted(image.tobytes() for image in theirs)


def test_digits_split_is_stratified() -> None:
    data = datasets.load(config("digits"))
    every = torch.cat([part.labels for part in (data.train, data.validation, data.test)]).bincount()
    for part in (data.train, data.validation, data.test):
        assert (part.labels.bincount() - every * len(part) / 1797).abs().max() < 2


def test_digits_split_never_moves() -> None:
    """Pinned: another split would make every published number of this project incomparable."""
    torch.manual_seed(99)
    np.random.seed(99)
    data = datasets.load(config("digits"))
    found = [digest(part.images) + digest(part.labels) for part in (data.train, data.validation, data.test)]
    assert found == PINNED


def test_digits_constants_are_those_of_the_training_part() -> None:
    data = datasets.load(config("digits"))
    assert channel_statistics(data.train.images) == (data.spec.mean, data.spec.std)


def test_labels_of_digits_match_their_names() -> None:
    data = datasets.load(config("digits"))
    assert data.class_names == ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    centre = [data.train.images[data.train.labels == label, 0, 3:5, 3:5].float().mean() for label in (0, 1)]
    assert centre[0] < 0.2 * centre[1]


def test_fashion_mnist_holds_out_the_last_training_images(fashion: Path) -> None:
    data = datasets.load(config("fashion_mnist", fashion))
    assert data.train.images.shape == (50, 1, 28, 28)
    assert data.train.images[:, 0, 0, 0].tolist() == list(range(50))
    assert data.validation.images[:, 0, 5, 5].tolist() == list(range(50, 60))
    assert data.validation.labels.tolist() == list(range(10))
    assert len(data.test) == 20


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("train-images-idx3-ubyte", np.zeros((60, 27, 27)), "60, 1, 27, 27"),
        ("train-images-idx3-ubyte", np.zeros((59, 28, 28)), "images for 60 labels"),
        ("t10k-labels-idx1-ubyte", np.full(20, 10), "among the 10 classes"),
    ],
)
def test_fashion_mnist_with_other_content(fashion: Path, file: str, content: np.ndarray, reason: str) -> None:
    write_ubyte(fashion / "FashionMNIST" / "raw" / file, content)
    with pytest.raises(InputError, match=f"damaged .*{reason}"):
        datasets.load(config("fashion_mnist", fashion))


@pytest.mark.parametrize("content", [b"", b"no idx file", struct.pack(">HBB3I", 0, 8, 3, 60, 28, 28) + b"cut"])
def test_fashion_mnist_with_damaged_file(fashion: Path, content: bytes) -> None:
    (fashion / "FashionMNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(InputError, match="data.folder: .*damaged"):
        datasets.load(config("fashion_mnist", fashion))


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs the Debian package dataset-fashion-mnist")
def test_constants_of_the_real_fashion_mnist(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for packed in DEBIAN.glob("*.gz"):
        (raw / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    data = datasets.load(config("fashion_mnist", tmp_path))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [50_000, 10_000, 10_000]
    published = torch.cat([data.train.images, data.validation.images])
    assert channel_statistics(published) == (data.spec.mean, data.spec.std)


@pytest.mark.parametrize(("name", "key", "batches"), [("cifar10", "labels", 5), ("cifar100", "fine_labels", 1)])
def test_cifar_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, key: str, batches: int) -> None:
    """A small copy in the real format; only torchvision's md5 comparison is switched off."""
    generator, written = np.random.default_rng(0), []
    for file in KNOWN[name].required:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        written.append(generator.integers(0, 256, (10, 3072), dtype=np.uint8))
        content = {"data": written[-1], key: list(range(10)), "label_names": [], "fine_label_names": []}
        (tmp_path / file).write_bytes(pickle.dumps(content))
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)
    small = replace(KNOWN[name], validation_size=4)
    monkeypatch.setattr(sources, "SOURCES", {**sources.SOURCES, name: small})
    data = datasets.load(config(name, tmp_path))
    assert torch.equal(data.train.images[0], torch.from_numpy(written[0][0]).view(3, 32, 32))
    assert torch.equal(data.test.images[9], torch.from_numpy(written[batches][9]).view(3, 32, 32))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [10 * batches - 4, 4, 10]
    assert data.validation.labels.tolist() == [6, 7, 8, 9]
    assert data.train.images.is_contiguous()


def test_foreign_cifar_files_are_never_unpickled(tmp_path: Path) -> None:
    for file in KNOWN["cifar10"].required:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(b"cos\nabort\n(tR.")
    with pytest.raises(InputError, match="damaged .Dataset not found or corrupted"):
        datasets.load(config("cifar10", tmp_path))


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("fashion_mnist", "dataset-fashion-mnist.*make fashion-mnist.*nowhere/FashionMNIST/raw"),
        ("cifar10", "cifar-10-python.tar.gz.*nowhere/cifar-10-batches-py"),
        ("cifar100", "cifar-100-python.tar.gz.*nowhere/cifar-100-python"),
    ],
)
def test_missing_files_say_what_to_fetch(name: str, advice: str) -> None:
    for refuse in (datasets.check, datasets.load):
        with pytest.raises(InputError, match=f"data.folder: .*{advice}"):
            refuse(config(name))


@pytest.mark.parametrize("name", KNOWN)
def test_names_need_no_files(name: str) -> None:
    names = datasets.class_names(config(name))
    assert len(set(names)) == len(names)
    assert all(part.isalpha() for name in names for part in name.replace("-", "_").replace(" ", "_").split("_"))


def test_cifar100_names_are_in_the_published_order() -> None:
    assert len(labels.CIFAR100) == 100
    assert list(labels.CIFAR100) == sorted(labels.CIFAR100)


@pytest.mark.parametrize("name", KNOWN)
def test_another_image_size_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="data.image_size: 33 contradicts"):
        datasets.check(config(name, size=33))
