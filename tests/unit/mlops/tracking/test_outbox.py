"""Nothing that a run reports is lost, whether the server is slow or unreachable until the end."""

import time
from collections import deque
from pathlib import Path

import mlflow
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from nayer.mlops.tracking import outbox as module
from nayer.mlops.tracking.outbox import MAX_METRICS, Outbox, first_batch, send, send_kept


class Away:
    """A server that cannot be reached until `back` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.back, self.calls = False, 0
        monkeypatch.setattr(module, "send", self.send)

    def send(self, *arguments) -> None:
        self.calls += 1
        if not self.back:
            raise MlflowException("connection refused")
        send(*arguments)


@pytest.fixture
def run_id(store: Path) -> str:
    return MlflowClient().create_run(mlflow.get_experiment_by_name("nayer").experiment_id).info.run_id


def test_all_arrives_in_order_with_steps_and_the_run_ends(run_id, tmp_path):
    box = Outbox(run_id, tmp_path / "kept")
    (tmp_path / "report.html").write_text("hello")
    for step in range(50):
        box.metrics({"loss": 1 / (step + 1)}, step)
    box.tags({"output.student": "abc"})
    box.artifact(tmp_path / "report.html")
    assert box.close("KILLED") is None
    client = MlflowClient()
    run = client.get_run(run_id)
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == list(range(50))
    assert run.data.tags["output.student"] == "abc"
    assert run.info.status == "KILLED"
    assert [artifact.path for artifact in client.list_artifacts(run_id)] == ["report.html"]


def test_what_was_said_while_the_server_was_away_arrives_when_it_is_back(run_id, tmp_path, monkeypatch):
    server = Away(monkeypatch)
    box = Outbox(run_id, tmp_path, retry_seconds=0.01)
    began = time.monotonic()
    box.metrics({"loss": 1.0}, 1)
    assert time.monotonic() - began < 0.1, "the loop does not wait"
    while server.calls < 3:
        time.sleep(0.01)
    server.back = True
    assert box.close("FINISHED") is None
    assert MlflowClient().get_run(run_id).data.metrics["loss"] == 1.0


def test_what_could_not_be_sent_is_kept_told_and_sent_by_the_next_run(run_id, tmp_path, monkeypatch):
    Away(monkeypatch)
    box = Outbox(run_id, tmp_path / "kept", retry_seconds=0.01)
    report = tmp_path / "report.html"
    report.write_text("hello")
    box.metrics({"loss": 1.0}, 1)
    box.artifact(report)
    told = box.close("FINISHED")
    assert "connection refused" in told
    assert run_id in told
    assert "next run" in told
    report.write_text("another run's")
    monkeypatch.undo()
    assert send_kept(tmp_path / "kept") == [f"Sent to MLflow what it had missed of run {run_id}."]
    run = MlflowClient().get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["loss"] == 1.0
    assert Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="report.html")).read_text() == "hello"
    assert send_kept(tmp_path / "kept") == []
    assert not list((tmp_path / "kept").rglob("*.*"))


def test_what_the_server_refuses_is_told_and_does_not_hold_up_the_rest(run_id, tmp_path):
    box = Outbox(run_id, tmp_path)
    box.metrics({"not allowed: *": 1.0})
    while box.pending:
        time.sleep(0.01)
    box.metrics({"loss": 2.0})
    assert "MLflow refused" in box.close("FINISHED")
    assert MlflowClient().get_run(run_id).data.metrics["loss"] == 2.0


def test_waiting_metrics_go_in_few_calls_and_files_and_the_end_keep_their_place():
    items = [{"metrics": [["loss", 1.0, 0, step]] * 100} for step in range(12)]
    assert len(first_batch(deque(items))) == MAX_METRICS // 100
    mixed = deque([items[0], {"tags": [["a", "b"]]}, {"artifact": "x"}, items[1]])
    assert len(first_batch(mixed)) == 2
    mixed.popleft(), mixed.popleft()
    assert first_batch(mixed) == [{"artifact": "x"}]


def test_kept_figures_of_a_deleted_run_are_told_and_do_not_hold_up_later_runs(run_id, tmp_path, monkeypatch):
    Away(monkeypatch)
    box = Outbox(run_id, tmp_path, retry_seconds=0.01)
    box.metrics({"loss": 1.0})
    box.close("FINISHED")
    monkeypatch.undo()
    MlflowClient().delete_run(run_id)
    (told,) = send_kept(tmp_path)
    assert "refused" in told
    assert send_kept(tmp_path) == []


def test_kept_figures_stay_while_the_server_is_away_again(run_id, tmp_path, monkeypatch):
    server = Away(monkeypatch)
    box = Outbox(run_id, tmp_path, retry_seconds=0.01)
    box.metrics({"loss": 1.0})
    box.close("FINISHED")
    assert send_kept(tmp_path) == []
    server.back = True
    assert len(send_kept(tmp_path)) == 1


def answer(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(response=response)


@pytest.mark.parametrize(
    ("error", "no_use_to_try_again"),
    [
        (MlflowException.invalid_parameter_value("illegal name"), True),
        (MlflowException("connection refused"), False),
        (answer(503), False),
        (answer(403), True),
        (requests.ConnectionError("reset by peer"), False),
        (FileNotFoundError("report.html"), True),
        (OSError(28, "No space left on device"), False),
    ],
)
def test_a_server_that_is_away_is_told_from_one_that_says_no(error, no_use_to_try_again):
    assert module.refused(error) is no_use_to_try_again


def test_what_can_neither_be_sent_nor_kept_is_told(run_id, tmp_path, monkeypatch):
    Away(monkeypatch)
    (tmp_path / "kept").write_text("a file where the folder should be")
    box = Outbox(run_id, tmp_path / "kept", retry_seconds=0.01)
    box.metrics({"loss": 1.0}, 1)
    assert "is lost, because it could not be kept" in box.close("FAILED", patience=0.2)
