"""Wrong options for a user's own teacher are refused at once, wherever no network is needed to notice."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nayer.core.errors import InputError
from nayer.scenarios.options import TeacherOptions, check_options

RIGHT = TeacherOptions("teacher.pth", "wrn-16-1", "names.txt", 8, "0.5/0.2", "./pictures")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    for folder in ("conf/base", "conf/fashion_mnist", "conf/bare", "pictures"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("conf/fashion_mnist/parameters_distill.yml", "teacher.pth", "names.txt"):
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("teacher", ["teacher.pth", "torchvision:resnet18", "models:/shop/1"])
def test_what_may_be_right_passes(teacher, project):
    check_options(project, "mine", replace(RIGHT, teacher=teacher))


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("Mine", {}, "NAME: 'Mine' is not a valid name"),
        ("base", {}, "NAME: 'base' is not a valid name"),
        ("bare", {}, "NAME: the scenario 'bare' exists"),
        ("mine", {"like": "bare"}, "LIKE: there is no scenario 'bare' with a distillation"),
        ("mine", {"like": "../etc"}, "LIKE: there is no scenario '../etc'"),
        ("mine", {"teacher": "missing.pth"}, "TEACHER: 'missing.pth' is not a file"),
        ("mine", {"class_names": "gone.txt"}, "CLASS_NAMES: 'gone.txt' does not exist"),
        ("mine", {"test_data": "./gone"}, "TEST_DATA: './gone' is not a folder"),
        ("mine", {"normalisation": "a/b"}, "NORMALISATION: 'a/b' is neither"),
        ("mine", {"image_size": 0}, "IMAGE_SIZE: 0 is refused"),
        ("mine", {"architecture": None}, "ARCHITECTURE: is missing, and 'teacher.pth' does not say"),
        ("mine", {"class_names": None, "image_size": None}, "CLASS_NAMES: is missing"),
        ("mine", {"image_size": None}, "IMAGE_SIZE: is missing"),
        ("mine", {"normalisation": None}, "NORMALISATION: is missing"),
    ],
)
def test_what_is_wrong_is_named(name, changes, words, project):
    with pytest.raises(InputError, match=words):
        check_options(project, name, replace(RIGHT, **changes))


def test_a_file_that_may_describe_itself_and_a_published_teacher_are_asked_first(project):
    save_file({"head": torch.zeros(1)}, "own.safetensors")
    for teacher in ("own.safetensors", "timm:resnet18"):
        check_options(project, "mine", TeacherOptions(teacher))
