"""The example of docs/library.md runs as it is printed."""

import re
from pathlib import Path

import torch

from nayer.models.classifier import Classifier

PAGE = Path(__file__).parents[2] / "docs" / "library.md"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


def test_the_settings_of_the_page_are_those_of_the_scenario(read_parameters, monkeypatch):
    monkeypatch.chdir(PAGE.parents[1])
    *_, code = blocks()
    found = {}
    exec(compile(code, PAGE.name, "exec"), found)
    assert found["settings"] == read_parameters("digits", "distill")


def test_the_example_of_the_page_makes_a_student(teacher, read_parameters, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    teacher.save(tmp_path / "teacher.safetensors")
    code, *_ = blocks()
    assert len([line for line in code.splitlines() if line and not line.startswith(("from", "import"))]) <= 20
    exec(compile(code, PAGE.name, "exec"), {"settings": read_parameters("test", "distill")})
    student = Classifier.load(tmp_path / "student.safetensors")
    assert student.class_names == teacher.class_names
    assert not (tmp_path / ".resume" / "distill" / "state.pt").exists()


def test_the_student_of_the_page_answers(teacher, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "data" / "06_models" / "mine" / "student.safetensors"
    file.parent.mkdir(parents=True)
    teacher.save(file)
    _, code, _ = blocks()
    found = {"Classifier": Classifier, "Path": Path, "images": torch.rand(2, 1, 8, 8)}
    exec(compile(code, PAGE.name, "exec"), found)
    assert found["logits"].shape == (2, len(teacher.class_names))
