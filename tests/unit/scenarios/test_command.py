"""`kedro scenario`, as it is typed."""

import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from nayer.core.images import ImageSpec
from nayer.models.classifier import Classifier
from nayer.scenarios import create
from nayer.scenarios.command import scenario

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project with a teacher in a subfolder, which is the working directory."""
    for name in ("conf", "src", "pyproject.toml"):
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    (tmp_path / "models").mkdir()
    teacher = Classifier.build("wrn-10-1", ("ant", "bee", "cat"), ImageSpec(8, 1, (0.3,), (0.4,)))
    teacher.save(tmp_path / "models" / "teacher.safetensors")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path / "models")
    return tmp_path


def test_a_teacher_named_in_a_subfolder_is_found_by_runs_of_the_project(project, monkeypatch):
    (project / "models" / "pictures").mkdir()
    for name in ("ant", "bee", "cat"):
        (project / "models" / "pictures" / name).mkdir()
        (project / "models" / "pictures" / name / "1.png").touch()
    command = ["mine", "--teacher", "teacher.safetensors", "--test-data", "pictures"]
    found = CliRunner().invoke(scenario, command)
    assert found.exit_code == 0, found.output
    assert (
        yaml.safe_load((project / "conf/mine/parameters_data.yml").read_text())["data"]["folder"] == "models/pictures"
    )
    kept = yaml.safe_load((project / "conf/mine/parameters_teacher.yml").read_text())["teacher"]
    assert kept["weights"] == "models/teacher.safetensors"
    assert yaml.safe_load((project / "conf/mine/parameters.yml").read_text()) == {"seed": 0}, "DVC tracks it there"


def test_a_disk_that_becomes_full_is_said_so_and_leaves_no_scenario(project, monkeypatch):
    def full(*_, **__) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(create, "as_run", full)
    found = CliRunner().invoke(scenario, ["mine", "--teacher", "teacher.safetensors"])
    assert found.exit_code == 1
    assert "NAME: " in found.output
    assert "could not be written (No space left on device)" in found.output
    assert not list((project / "conf").glob("mine*"))


@pytest.mark.parametrize(
    ("said", "keys"),
    [
        (["--minutes", "30"], "MINUTES"),
        (["--method", "cmi", "--like", "digits"], "METHOD, LIKE"),
        (["--test-data", "digits"], "TEST_DATA"),
    ],
)
def test_what_is_said_of_a_new_scenario_is_refused_without_a_teacher(said, keys, tmp_path, monkeypatch):
    (tmp_path / "conf" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(scenario, ["mine", *said])
    assert found.exit_code == 1
    assert found.output == (f"Error: {keys}: only for a new scenario; give its TEACHER as well, or NAME alone.\n")
    assert not list((tmp_path / "conf" / "mine").iterdir())


def test_a_data_set_is_meant_by_its_name_also_where_a_folder_has_it(project):
    (project / "models" / "fashion_mnist").mkdir()
    found = CliRunner().invoke(scenario, ["mine", "--teacher", "teacher.safetensors", "--test-data", "fashion_mnist"])
    assert "3 names given, 'fashion_mnist' has 10 classes" in found.output
