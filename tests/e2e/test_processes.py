"""`runtime.processes` from the command line: one student, one MLflow run, one clear message if something ends it."""

import shutil
import signal
import socket
import subprocess
import time

import mlflow
import psutil
import pytest
from clones import PROJECT, heard_until_distilling

SEVERAL = ("kedro", "run", "--env", "test", "--pipelines", "distill")
SETTINGS = "runtime.processes=2,distill.synthesis.batch_size=24"


@pytest.fixture(autouse=True)
def _prepared(typed) -> None:
    done = typed("kedro", "run", "--env", "test", "--pipelines", "lte,teacher")
    assert done.returncode == 0, done.stderr


def run_of(project) -> mlflow.entities.Run:
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiment = client.get_experiment_by_name("nayer")
    runs = client.search_runs([experiment.experiment_id], order_by=["start_time DESC"])
    assert len([run for run in runs if run.data.tags["stages"] == "distill"]) == 1
    return runs[0]


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [each for each in psutil.Process(process.pid).children() if "spawn_main" in " ".join(each.cmdline())]


def at_work(process: subprocess.Popen[str]) -> None:
    heard_until_distilling(process)
    time.sleep(1.0)


def test_two_processes_leave_one_student_and_one_run(typed, project):
    done = typed(*SEVERAL, "--params", SETTINGS)
    assert done.returncode == 0, done.stderr
    assert "in each of 2 processes" in done.stderr
    run = run_of(project)
    assert run.info.status == "FINISHED"
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    assert len(client.get_metric_history(run.info.run_id, "distill.kd_loss")) == 2, "one point an epoch"
    folder = project / "data/06_models/test"
    assert sorted(file.name for file in folder.iterdir()) == ["student.safetensors", "teacher.safetensors"]


@pytest.fixture
def further_machine(started):
    """A function that starts torchrun as a second machine would; returns it and the settings for the first."""

    def start(**variables: str) -> tuple[subprocess.Popen[str], str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        meeting = ("--nnodes", "2", "--node-rank", "1", "--nproc-per-node", "1", "--master-addr", "localhost")
        other = started("torchrun", *meeting, "--master-port", port, "-m", "nayer.distillation.launch", **variables)
        return other, f"runtime.machines=2,runtime.address=localhost:{port},distill.synthesis.batch_size=24"

    return start


def test_torchrun_on_a_further_machine_joins_in(further_machine, typed, project):
    other, settings = further_machine()
    done = typed(*SEVERAL, "--params", settings)
    assert done.returncode == 0, done.stderr
    assert "in each of 2 processes" in done.stderr
    _, error = other.communicate(timeout=60)
    assert other.returncode == 0, error
    assert run_of(project).info.status == "FINISHED"


def test_a_further_machine_with_another_checkout_is_refused(further_machine, typed, tmp_path):
    source = shutil.copytree(PROJECT / "src", tmp_path / "another checkout")
    with (source / "nayer/core/images.py").open("a") as file:
        file.write("# something else\n")
    other, settings = further_machine(PYTHONPATH=str(source))
    done = typed(*SEVERAL, "--params", settings)
    other.communicate(timeout=60)
    assert done.returncode == 1
    assert "Error: the checkout: " in done.stderr
    assert "in process 1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_process_ends_in_one_sentence(started, project):
    process = started(*SEVERAL, "--params", f"{SETTINGS},distill.epochs=3000")
    at_work(process)
    workers(process)[0].kill()
    _, error = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "Error: distill: process 0 of 2 died" in error
    assert "Traceback" not in error
    assert run_of(project).info.status == "FAILED"


def test_ctrl_c_keeps_the_state_and_the_same_command_goes_on(started, typed, project):
    command = (*SEVERAL, "--params", f"{SETTINGS},distill.epochs=300")
    process = started(*command)
    at_work(process)
    for each in (*workers(process), psutil.Process(process.pid)):  # as a terminal does on Ctrl-C
        each.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "The same command goes on from there." in error
    assert "Traceback" not in error
    assert run_of(project).info.status == "KILLED"
    done = typed(*command)
    assert done.returncode == 0, done.stderr
    assert "going on in epoch" in done.stderr
