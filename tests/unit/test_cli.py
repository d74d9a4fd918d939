"""Configuration that Kedro could not read is named by file and place before Kedro reads it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nayer.cli import cli
from nayer.core.errors import InputError
from nayer.workflow.configuration import check_files

PROJECT = Path(__file__).parents[2]


def conf(folder: Path, **texts: str) -> Path:
    for part in ("base", "mine"):
        (folder / part).mkdir()
    (folder / "base" / "parameters.yml").write_text("distill: {student: {steps: 1}, betas: [1, 2]}")
    for name, text in texts.items():
        (folder / "mine" / f"{name}.yml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("distill: [1", r"parameters\.yml: is no YAML \(line 1"),
        ("distill:\n  a: 1\n  a: 2", r"parameters\.yml: is no YAML \(line 3: found duplicate key a"),
        ("- 1", r"parameters\.yml: holds no mapping"),
        ("7", r"parameters\.yml: "),
        ("distill: [1]", r"distill: \[1\] is refused"),
        ("distill: {betas: {a: 1}}", r"distill\.betas: \{'a': 1\} is refused"),
        ("distill: {student: [1]}", r"distill\.student: \[1\] is refused"),
    ],
)
def test_a_file_that_cannot_be_read_or_merged_is_named(text, words, tmp_path):
    with pytest.raises(InputError, match=words):
        check_files(conf(tmp_path, parameters=text), "mine", {})


def test_a_key_in_two_files_of_a_scenario_is_named(tmp_path):
    folder = conf(tmp_path, parameters_a="distill: {epochs: 1}", parameters_b="distill: {epochs: 2}")
    with pytest.raises(InputError, match=r"parameters_b\.yml: sets 'distill', as 'parameters_a\.yml' does"):
        check_files(folder, "mine", {})


def test_a_list_for_a_group_behind_params_is_named(tmp_path):
    with pytest.raises(InputError, match=r"distill\.student: \[1\] is refused"):
        check_files(conf(tmp_path), "mine", {"distill": {"student": [1]}})


def test_files_that_go_together_pass(tmp_path):
    texts = {"parameters": "distill: {epochs: 1}", "globals": "scenario: mine", "catalog": "distill: {type: x}"}
    check_files(conf(tmp_path, **texts), "mine", {"distill": {"student": {"steps": 3}}})


def test_params_that_are_no_yaml_are_one_sentence():
    done = CliRunner().invoke(cli, ["run", "--params", "distill.epochs=[1"])
    assert done.exit_code == 1
    assert "--params: is no YAML" in done.output


def test_anchors_and_the_same_key_of_other_kinds_are_no_mistake(tmp_path):
    folder = conf(tmp_path)
    for kind in ("catalog", "parameters"):
        (folder / "base" / kind).mkdir()
        (folder / "base" / kind / "teacher.yml").write_text("_shared: &shared {a: 1}\nteacher: *shared")
    (folder / "base" / "catalog.yml").write_text("_shared: {b: 2}\nstudent: {b: 1}")
    check_files(folder, "mine", {})


def test_what_needs_no_torch_is_said_without_loading_it():
    command = [sys.executable, "-X", "importtime", "-m", "kedro", "scenario", "newone", "--teacher", "missing.pth"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "TEACHER: 'missing.pth' is no file" in done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "kedro" in loaded
    assert not loaded & {"torch", "mlflow", "pandas", "sklearn", "transformers"}
