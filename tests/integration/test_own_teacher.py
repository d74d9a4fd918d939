"""A user's own teacher, and no data at all: class names and weights are enough for a student."""

import json
import shutil
import sys
from pathlib import Path

import mlflow
import pytest
import torch
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError

from nayer.core.errors import InputError
from nayer.models import architectures
from nayer.models.architectures import build_network
from nayer.models.classifier import Classifier

PROJECT = Path(__file__).parents[2]
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
OWN_CODE = """from nayer.models.architectures import build_network


def net():
    return build_network('wrn-10-1', 1, 10)
"""


def copied(folder: Path) -> Path:
    """A copy of the project, with class names and the weights of a user's own teacher."""
    for name in ("conf", "src"):
        shutil.copytree(PROJECT / name, folder / name)
    shutil.copy(PROJECT / "pyproject.toml", folder)
    (folder / "conf" / "local").mkdir(exist_ok=True)
    (folder / "names.txt").write_text("\n".join(NAMES))
    (folder / "own_code.py").write_text(OWN_CODE)
    torch.save(build_network("wrn-10-1", 1, 10).state_dict(), folder / "brought.pth")
    bootstrap_project(folder)
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    yield copied(tmp_path)
    mlflow.set_tracking_uri(None)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """A copy of the project with all stages run, for a network of the user's own code."""
    folder = copied(tmp_path_factory.mktemp("done"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        patch.setattr(architectures, "_trusted", set())
        run(folder, architecture="own_code:net")
        mlflow.set_tracking_uri(None)
    return folder


def run(project: Path, pipelines: list[str] | None = None, **teacher: object) -> None:
    said = {
        "data": {"dataset": "none", "class_names": "names.txt"},
        "teacher": {
            "source": "file",
            "weights": "brought.pth",
            "normalisation": {"mean": [0.3], "std": [0.4]},
            **teacher,
        },
    }
    with KedroSession.create(project_path=project, env="test", runtime_params=said) as session:
        session.run(pipeline_names=pipelines)


def test_names_and_weights_are_enough_for_a_student_and_the_figures_say_what_they_are_worth(done):
    student = Classifier.load(done / "data/06_models/test/student.safetensors")
    assert student.class_names == tuple(NAMES)
    reports = done / "data/08_reporting/test"
    assert json.loads((reports / "teacher_cost.json").read_text())["seconds"] == 0
    metrics = json.loads((reports / "metrics.json").read_text())
    assert set(metrics) == {"agreement", "synthetic_images", "digests"}
    assert metrics["synthetic_images"] == 40
    page = (reports / "report.html").read_text()
    assert "Without test data" in page
    assert "On real test data" not in page


def test_own_code_runs_only_where_the_parameters_name_it(done, monkeypatch):
    monkeypatch.chdir(done)
    monkeypatch.setattr(architectures, "_trusted", set())
    monkeypatch.delitem(sys.modules, "own_code")
    with pytest.raises(DatasetError, match="'own_code:net' would be imported and run; where you trust that code, set"):
        run(done, ["evaluate"], architecture="wrn-10-1")
    mlflow.set_tracking_uri(None)
    assert "own_code" not in sys.modules


def test_a_teacher_that_does_not_fit_is_refused_before_anything_is_written(project):
    with pytest.raises(InputError, match="teacher.weights: 'brought.pth' lacks"):
        run(project, architecture="wrn-16-1")
    assert not (project / "data").exists()
    assert not (project / "mlflow.db").exists()
