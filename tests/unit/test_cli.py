"""A user's mistake on the command line or in a file gives one quick, clear message, without a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nayer.cli import cli

PROJECT = Path(__file__).parents[2]


def conf(folder: Path, text: str) -> Path:
    for part in ("base", "digits"):
        (folder / part).mkdir()
    (folder / "digits" / "parameters.yml").write_text(text)
    return folder


def test_params_that_are_no_yaml_are_one_sentence():
    done = CliRunner().invoke(cli, ["run", "--params", "distill.epochs=[1"])
    assert done.exit_code == 1
    assert "--params: not YAML" in done.output


@pytest.mark.parametrize(
    ("text", "params", "words"),
    [
        ("distill: [1", "", "parameters.yml: not YAML (line 1"),
        ("distill: {student: {steps: 1}}", "distill.student=[1]", "distill.student: [1] is refused"),
        ("distil: {}", "", "Did you mean 'distill'"),
    ],
)
def test_configuration_that_cannot_be_used_is_one_sentence_of_a_run(text, params, words, tmp_path):
    options = ["run", "--conf-source", str(conf(tmp_path, text)), *(["--params", params] if params else [])]
    done = CliRunner().invoke(cli, options)
    assert (done.exit_code, done.output.count("\n")) == (1, 1), done.output
    assert words in done.output


def test_a_folder_of_configuration_that_is_not_there_is_one_sentence(tmp_path):
    done = CliRunner().invoke(cli, ["run", "--conf-source", str(tmp_path)])
    assert done.exit_code == 1
    assert f"{tmp_path}/base; correct --conf-source, --env or KEDRO_ENV" in done.output


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        ("missing.pth", "TEACHER: 'missing.pth' is not a file"),
        ("README.md", "ARCHITECTURE: is missing, and 'README.md'"),
    ],
)
def test_what_needs_no_torch_is_said_without_loading_it(teacher, words):
    command = [sys.executable, "-X", "importtime", "-m", "kedro", "scenario", "newone", "--teacher", teacher]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "kedro" in loaded
    assert not loaded & {"torch", "mlflow", "pandas", "sklearn", "transformers"}
