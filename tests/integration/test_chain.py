"""The chain on the test scenario through a real Kedro session and a real MLflow store."""

import json
import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from nayer.core.errors import InputError
from nayer.core.files import digest
from nayer.core.nested import flatten
from nayer.models.classifier import Classifier
from nayer.synthesis.registry import METHODS

PROJECT = Path(__file__).parents[2]
OUTPUTS = {
    "04_feature/test/label_embeddings.safetensors",
    "06_models/test/teacher.safetensors",
    "06_models/test/student.safetensors",
    "07_model_output/test/memory_sample.safetensors",
    "08_reporting/test/metrics.json",
    "08_reporting/test/cost.json",
    "08_reporting/test/per_class.csv",
    "08_reporting/test/report.html",
}


def assert_reported(project: Path, name: str) -> None:
    """Check that the method's loss terms are in the history, and its name and paper in the report."""
    reports = project / "data/08_reporting/test"
    history = pd.read_csv(reports / "distill_history.csv")
    assert history[list(METHODS[name].loss_names)].notna().all(axis=None)
    assert f"by {METHODS[name].title} ({METHODS[name].reference})" in (reports / "report.html").read_text()


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project with the whole chain run, then `distill` once more."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("conf", "src", "pyproject.toml", ".telemetry"):
        source = PROJECT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / "conf" / "local").mkdir(exist_ok=True)
    patch = pytest.MonkeyPatch()
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.chdir(folder)
    bootstrap_project(folder)
    for stages in (None, ["distill"]):
        with KedroSession.create(project_path=folder, env="test") as session:
            session.run(pipeline_names=stages)
    yield folder
    patch.undo()
    mlflow.set_tracking_uri(None)


@pytest.fixture(scope="module")
def runs(project) -> list[mlflow.entities.Run]:
    """MLflow runs, oldest first."""
    found = mlflow.search_runs(experiment_names=["nayer"], output_format="list")
    return sorted(found, key=lambda run: run.info.start_time)


def test_every_stage_leaves_its_files(project):
    found = {str(path.relative_to(project / "data")) for path in (project / "data").rglob("*") if path.is_file()}
    assert found >= OUTPUTS
    assert not [name for name in found if ".resume" in name], "finished stages leave no state"
    assert_reported(project, "nayer")


def test_metrics_have_their_fixed_names_and_are_fractions(project):
    metrics = flatten(json.loads((project / "data/08_reporting/test/metrics.json").read_text()))
    fractions = {"teacher.top1", "student.top1", "teacher.top5", "student.top5", "agreement", "probe_agreement"}
    assert fractions <= set(metrics)
    assert all(0 <= metrics[name] <= 1 for name in fractions)
    assert len(metrics["digests.test_data"]) == 64
    assert metrics["retention"] == pytest.approx(metrics["student.top1"] / metrics["teacher.top1"])
    assert metrics["test_images"] == 540


def test_each_hyper_parameter_is_a_parameter_of_the_run(runs):
    parameters = runs[0].data.params
    assert parameters["distill.synthesis.bn_weight"] == "10.0"
    assert parameters["teacher.training.learning_rate"] == "0.1"
    assert parameters["seed"] == "0"


def test_metrics_by_epoch_results_and_report_are_in_the_run(runs):
    run, client = runs[0], mlflow.MlflowClient()
    history = client.get_metric_history(run.info.run_id, "distill.kd_loss")
    assert [point.step for point in history] == [2, 3]
    assert len(client.get_metric_history(run.info.run_id, "teacher.loss")) == 2
    assert "student.top1" in run.data.metrics
    files = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"report.html", "training_curves.png", "per_class.csv"} <= files


def test_metrics_and_costs_say_of_which_models_they_are(project):
    reports = project / "data/08_reporting/test"
    metrics, cost = (json.loads((reports / f"{name}.json").read_text())["digests"] for name in ("metrics", "cost"))
    assert cost == {name: metrics[name] for name in ("teacher", "student")}


def test_runs_say_how_they_ended_what_they_ran_and_find_each_other(runs):
    chain, again = runs
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert chain.data.tags["scenario"] == "test"
    assert chain.data.tags["stages"] == "lte,teacher,distill,evaluate"
    assert again.data.tags["stages"] == "distill"
    assert again.data.tags["input.teacher"] == chain.data.tags["output.teacher"]
    assert len(chain.data.tags["teacher_cost.training_data"]) == 64
    assert chain.data.tags["cost.machine.torch"].startswith("2.")


@pytest.mark.parametrize("stage", ["evaluate", "quantize"])
def test_models_are_not_judged_by_classes_in_another_order(stage, project):
    names = Classifier.load(project / "data/06_models/test/teacher.safetensors").class_names
    turned = {"data": {"class_names": [*names[::-1]]}, "quantize": {"images": 32}}
    with (
        KedroSession.create(project_path=project, env="test", runtime_params=turned) as session,
        pytest.raises(InputError, match=r"data\.class_names: .* is class 0 .from 0., but class 9 of teacher"),
    ):
        session.run(pipeline_names=[stage])


def test_distilling_again_gives_the_same_student(runs):
    assert runs[0].data.tags["output.student"] == runs[1].data.tags["output.student"]


def test_int8_is_made_compared_and_logged_on_request(project):
    chosen = {"quantize": {"images": 32, "gate": {"largest_loss": 100.0}}}
    with KedroSession.create(project_path=project, env="test", runtime_params=chosen) as session:
        session.run(pipeline_names=["quantize"])
    reports = project / "data/08_reporting/test"
    metrics = json.loads((reports / "int8_metrics.json").read_text())
    file = project / "data/06_models/test/int8.onnx"
    assert metrics["digests"]["int8"] == digest(file)
    assert json.loads((reports / "int8_cost.json").read_text())["digests"] == {"int8": digest(file)}
    assert metrics["calibration_images"] == 32
    of_chain = json.loads((reports / "metrics.json").read_text())
    assert metrics["fp32"]["top1"] == pytest.approx(of_chain["student"]["top1"], abs=2 / 540)
    assert metrics["fp32"]["agreement"] == pytest.approx(of_chain["agreement"], abs=2 / 540)
    assert metrics["images"] == 540
    (run, *_) = mlflow.search_runs(experiment_names=["nayer"], output_format="list")
    assert run.data.tags["stages"] == "quantize"
    assert run.data.metrics["int8_metrics.int8.top1"] == metrics["int8"]["top1"]
    assert run.data.metrics["int8_cost.int8.latency_ms_batch_64"] > 0
    assert "int8.html" in {each.path for each in mlflow.MlflowClient().list_artifacts(run.info.run_id)}


def test_a_student_is_promoted_where_the_int8_file_is_its_teachers(project):
    chosen = {"quantize": {"model": "teacher", "images": 32, "gate": {"largest_loss": 100.0}}}
    for stage in ("quantize", "promote"):
        with KedroSession.create(project_path=project, env="test", runtime_params=chosen) as session:
            session.run(pipeline_names=[stage])
    done = json.loads((project / "data/08_reporting/test/promotion.json").read_text())
    assert done["champion"]
    assert done["int8"].startswith("int8.onnx is the teacher's")
    assert (project / "data/06_models/test/int8.onnx").is_file(), "it stays where it is"


@pytest.mark.parametrize("name", ["adi", "zskt"])
def test_other_methods_run_by_their_names_and_stand_in_the_report_with_their_terms_in_the_history(name, project):
    chosen = {"distill": {"synthesis": {"method": name, "batches": 3}}}
    with KedroSession.create(project_path=project, env="test", runtime_params=chosen) as session:
        session.run(pipeline_names=["distill", "evaluate"])
    assert_reported(project, name)
