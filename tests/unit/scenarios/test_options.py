"""What an owner of a teacher says is refused at once where no network is needed to see that it is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

from nayer.core.errors import InputError
from nayer.scenarios.options import TeacherOptions, check_options

RIGHT = TeacherOptions("teacher.pth", class_names="names.txt", normalisation="0.5/0.2", test_data="./pictures")


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
        ("Mine", {}, "NAME: 'Mine' is no name"),
        ("base", {}, "NAME: 'base' is no name"),
        ("bare", {}, "NAME: the scenario 'bare' exists"),
        ("mine", {"like": "bare"}, "LIKE: there is no scenario 'bare' with a distillation"),
        ("mine", {"like": "../etc"}, "LIKE: there is no scenario '../etc'"),
        ("mine", {"teacher": "missing.pth"}, "TEACHER: 'missing.pth' is no file"),
        ("mine", {"class_names": "gone.txt"}, "CLASS_NAMES: 'gone.txt' does not exist"),
        ("mine", {"test_data": "./gone"}, "TEST_DATA: './gone' is no folder"),
        ("mine", {"normalisation": "a/b"}, "NORMALISATION: 'a/b' is neither"),
    ],
)
def test_what_is_wrong_is_named(name, changes, words, project):
    with pytest.raises(InputError, match=words):
        check_options(project, name, replace(RIGHT, **changes))
