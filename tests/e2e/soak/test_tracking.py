"""An MLflow server that becomes slow or full during a training costs neither time nor records."""

import sys
import time
from pathlib import Path

import mlflow
import pytest
from clones import heard_until_distilling

PROXY = Path(__file__).with_name("proxy.py")
EPOCHS = 150
RUN = ("kedro", "run", "--env", "test", "--params", f"distill.epochs={EPOCHS}")
# A twentieth of a run of ten minutes: whatever a slow server costs must not grow with the length of the run.
MAX_SECONDS = 30


@pytest.fixture
def server(project, service):
    """Address of a server behind the proxy, and a function that sets the proxy's mode."""
    mode = project / "mode"
    mode.write_text("ok")
    command = ("mlflow", "server", "--backend-store-uri", f"sqlite:///{project}/server.db", "--host", "127.0.0.1")
    real = service(*command, "--artifacts-destination", str(project / "server-artifacts"), healthy="health")
    return service(sys.executable, str(PROXY), real, str(mode), healthy="health"), mode.write_text


def student_after(process, project: Path) -> float:
    """Seconds until the student's file exists."""
    began = time.monotonic()
    student = project / "data/06_models/test/student.safetensors"
    while not student.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    seconds = time.monotonic() - began
    told = process.stderr.read()
    assert process.wait(300) == 0, told
    student.unlink()
    return seconds


def check_record(address: str) -> None:
    """Check that the first run is FINISHED and has every point."""
    client = mlflow.MlflowClient(address, address)
    runs = client.search_runs([client.get_experiment_by_name("nayer").experiment_id])
    first = min(runs, key=lambda run: run.info.start_time)
    assert first.info.status == "FINISHED"
    assert len(client.get_metric_history(first.info.run_id, "distill.kd_loss")) == EPOCHS
    assert "report.html" in {artifact.path for artifact in client.list_artifacts(first.info.run_id)}


def test_a_slow_server_does_not_hold_up_the_student(project, started, server):
    address, mode = server
    usual = student_after(started(*RUN), project)
    mode("slow")
    slow = student_after(started(*RUN, MLFLOW_TRACKING_URI=address), project)
    assert slow - usual < MAX_SECONDS, f"{usual:.0f} s alone, {slow:.0f} s with a slow server"
    mode("ok")
    check_record(address)


def test_a_server_that_is_full_in_the_middle_is_told_the_rest_later(project, started, typed, server):
    address, mode = server
    process = started(*RUN, MLFLOW_TRACKING_URI=address)
    told = heard_until_distilling(process)
    mode("full")
    told += process.stderr.readlines()
    assert process.wait(300) == 0, "".join(told)
    assert (project / "data/06_models/test/student.safetensors").is_file()
    assert any("sent by the next run" in line for line in told)
    mode("ok")
    done = typed("kedro", "run", "--env", "test", "--pipelines", "lte", MLFLOW_TRACKING_URI=address)
    assert done.returncode == 0, done.stderr
    assert "Sent to MLflow what it had missed" in done.stderr
    check_record(address)
