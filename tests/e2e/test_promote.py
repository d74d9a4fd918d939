"""From a clone to a champion that answers over HTTP, and back: in the local store and on a real MLflow server."""

import re

import mlflow
import numpy as np
import pytest
import requests
import torch
from clones import PROJECT, heard_until_distilling

from nayer.core.images import to_float
from nayer.datasets import ImageSet, load
from nayer.datasets.config import DataConfig
from nayer.models.classifier import Classifier

RUN = ("kedro", "run", "--env", "test")
# A student that starts as its teacher and hardly changes, so that it is trained within seconds.
TRAINED = (
    "teacher.training.epochs=15,distill.epochs=1,distill.memory_sample=75,distill.synthesis.steps=10,"
    "distill.student.start=teacher,distill.student.steps=1,distill.student.batch_size=64,"
    "distill.student.learning_rate=0.001"
)
NAME = "nayer-test"


@pytest.fixture(params=["local store", "server"])
def store(request, project, service) -> str:
    """Address of an empty MLflow store."""
    if request.param == "local store":
        return f"sqlite:///{project}/mlflow.db"
    command = ("mlflow", "server", "--backend-store-uri", f"sqlite:///{project}/server.db", "--host", "127.0.0.1")
    return service(*command, "--artifacts-destination", str(project / "server-artifacts"), healthy="health")


def champion(store: str) -> str:
    return str(mlflow.MlflowClient(store, store).get_model_version_by_alias(NAME, "champion").version)


def test_students_are_promoted_refused_served_and_rolled_back(store, typed, service, project):
    def run(*options: str) -> str:
        done = typed(*RUN, *options, MLFLOW_TRACKING_URI=store)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("--params", TRAINED)
    run(
        "--pipelines",
        "quantize",
        "--params",
        "distill.memory_sample=75,quantize.images=70,quantize.gate.largest_loss=5.0",
    )
    promoted = run("--pipelines", "promote", "--params", "promote.onnx=student.onnx")
    assert f"Version 1 of '{NAME}' is champion" in promoted
    assert "ONNX: student.onnx (its logits differ by" in promoted
    assert "INT8: passed:" in promoted
    student = Classifier.load(project / "data/06_models/test/student.safetensors")

    # A student that has hardly learnt anything.
    run("--pipelines", "distill,evaluate", "--params", "distill.epochs=1,distill.student.steps=1")
    mixed = typed(*RUN, "--pipelines", "promote", MLFLOW_TRACKING_URI=store)
    assert "int8: the file or its figures are not this student's; run kedro run --pipelines quantize" in mixed.stderr
    (project / "data/06_models/test/int8.onnx").unlink()
    refused = typed(*RUN, "--pipelines", "promote", MLFLOW_TRACKING_URI=store)
    assert refused.returncode == 1
    assert re.search(r"and version 1 champion: student.top1 0\.\d+, .*largest_regression.*missed by", refused.stderr)
    assert champion(store) == "1"

    worse = run("--pipelines", "promote", "--params", "promote.gate.largest_regression=1.0")
    assert f"Version 2 of '{NAME}' is champion" in worse
    assert f"Version 1 of '{NAME}' is champion again" in run("--pipelines", "rollback")
    assert champion(store) == "1"

    lineage = mlflow.MlflowClient(store, store)
    experiment = lineage.get_experiment_by_name("nayer").experiment_id
    found = lineage.search_runs([experiment], f"tags.`{NAME}/1` LIKE '%'")
    made = ",".join(run.data.tags[f"{NAME}/1"] for run in found).split(",")
    assert set(made) == {"label_embeddings", "teacher", "student", "metrics"}

    address = service(
        *("mlflow", "models", "serve", "-m", f"models:/{NAME}@champion", "--env-manager", "local"),
        healthy="ping",
        MLFLOW_TRACKING_URI=store,
    )
    test = load(DataConfig(dataset="digits", folder="", image_size=8, channels=None, class_names=None)).test
    for count in (1, 7, 64):
        pixels = test.images[:count]
        answer = requests.post(f"{address}/invocations", json={"inputs": pixels.tolist()}, timeout=60)
        assert answer.ok, answer.text
        with torch.inference_mode():
            wanted = student(to_float(pixels)).numpy()
        np.testing.assert_allclose(np.array(answer.json()["predictions"]), wanted, atol=1e-5)
    assert_served_and_int8_answer_alike(store, address, test, typed, project)


def assert_served_and_int8_answer_alike(store: str, address: str, test: ImageSet, typed, project) -> None:
    """Run the scripts of the documentation on the address and on the INT8 file of the registered version."""
    found = mlflow.MlflowClient(store, store).get_model_version_by_alias(NAME, "champion").tags["int8_file"]
    mlflow.set_tracking_uri(store)
    mlflow.artifacts.download_artifacts(found, dst_path=str(project))
    mlflow.set_tracking_uri(None)
    np.save(project / "pixels.npy", test.images.numpy())

    def says(page: str, *changes: tuple[str, str]) -> list[list[str]]:
        script = (PROJECT / "docs" / page).read_text().partition("```python\nimport numpy")[2].partition("```")[0]
        for old, new in changes:
            assert old in script
            script = script.replace(old, new)
        (project / "script.py").write_text(f"import numpy{script}")
        done = typed("python", "script.py")
        assert done.returncode == 0, done.stderr
        return [line.split() for line in done.stdout.splitlines()]

    changes = ("http://127.0.0.1:5123", address), ("data/06_models/mine/int8.onnx", "int8.onnx")
    (_, *served), (_, *int8) = says("examples.md", *changes)
    assert says("mlops.md") == [int8]
    # Both must be right, as they could share a broken pre-processing or a wrong order of the classes.
    truth, by_mlflow, by_onnxruntime = (np.array(each, dtype=int) for each in (test.labels.tolist(), served, int8))
    assert (by_mlflow == truth).mean() > 0.95
    assert (by_onnxruntime == truth).mean() > 0.95
    assert (by_mlflow == by_onnxruntime).mean() >= 0.95


def test_promotion_without_a_student_says_what_to_run(typed):
    done = typed(*RUN, "--pipelines", "promote")
    assert done.returncode == 1
    assert "student.safetensors" in done.stderr
    assert "Traceback" not in done.stderr


def test_rollback_without_a_champion_says_so(typed):
    done = typed(*RUN, "--pipelines", "rollback")
    assert done.returncode == 1
    assert "has no champion" in done.stderr


def test_a_server_lost_in_the_middle_costs_nothing(project, started, typed, service):
    command = ("mlflow", "server", "--backend-store-uri", f"sqlite:///{project}/server.db", "--host", "127.0.0.1")
    served = (*command, "--artifacts-destination", str(project / "server-artifacts"))
    address = service(*served, healthy="health")
    process = started(*RUN, "--params", "distill.epochs=150", MLFLOW_TRACKING_URI=address)
    told = heard_until_distilling(process)
    service.stop()
    told += process.stderr.readlines()
    assert process.wait(300) == 0, "".join(told)
    assert (project / "data/06_models/test/student.safetensors").is_file()
    kept = [line for line in told if "MLflow could not be reached" in line]
    assert kept
    assert "sent by the next run" in kept[0]

    service.again()
    done = typed(*RUN, "--pipelines", "lte", MLFLOW_TRACKING_URI=address)
    assert done.returncode == 0, done.stderr
    assert "Sent to MLflow what it had missed" in done.stderr
    client = mlflow.MlflowClient(address, address)
    runs = client.search_runs([client.get_experiment_by_name("nayer").experiment_id])
    first = min(runs, key=lambda run: run.info.start_time)
    assert first.info.status == "FINISHED"
    assert len(client.get_metric_history(first.info.run_id, "distill.kd_loss")) == 150
    assert "report.html" in {artifact.path for artifact in client.list_artifacts(first.info.run_id)}
