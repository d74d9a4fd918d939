"""The command lines of the README, typed in a clone."""

import os
import re
import signal
import time
from pathlib import Path

import mlflow
import pytest
from clones import heard_until_distilling

PROJECT = Path(__file__).parents[2]
STUDENT = "data/06_models/test/student.safetensors"


def runs_of(project: Path) -> list[mlflow.entities.Run]:
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiment = client.get_experiment_by_name("nayer")
    return sorted(client.search_runs([experiment.experiment_id]), key=lambda run: run.info.start_time)


def test_plain_kedro_run_is_the_whole_chain_on_digits(typed, project):
    done = typed("kedro", "run")
    assert done.returncode == 0, done.stderr
    assert "digits: test data, n = 540" in done.stdout
    assert "report.html" in done.stdout
    assert "Estimate for this machine" in done.stderr
    assert "distill:" in done.stderr, "progress in plain lines off a terminal"
    shares = re.findall(r"top-1 accuracy[^\d]+([\d.]+)%[^\d]+([\d.]+)%", done.stdout)
    teacher, student = map(float, shares[0])
    assert teacher >= 97.5
    assert student >= 96.5
    assert (project / "data/08_reporting/digits/report.html").stat().st_size > 50_000
    assert "tool.kedro_telemetry" not in (project / "pyproject.toml").read_text(), "telemetry leaves its mark there"


@pytest.mark.parametrize("option", ["--pipeline", "--pipelines"])
def test_every_pipeline_can_be_typed_alone(option, typed, project):
    for pipeline, following in (
        ("lte", "--pipelines teacher"),
        ("teacher", "--pipelines distill"),
        ("distill", "--pipelines evaluate"),
        ("evaluate", "report.html"),
    ):
        done = typed("kedro", "run", "--env", "test", option, pipeline)
        assert done.returncode == 0, done.stderr
        assert following in done.stdout, "each command says what comes next"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_is_killed_in_mlflow_and_its_continuation_says_so(number, typed, started, project):
    long = ("kedro", "run", "--env", "test", "--params", "distill.epochs=400,runtime.threads=1")
    command = (*long, "--pipelines", "distill")
    assert typed("kedro", "run", "--env", "test", "--pipelines", "lte").returncode == 0
    assert typed("kedro", "run", "--env", "test", "--pipelines", "teacher").returncode == 0
    process = started(*command)
    heard_until_distilling(process)
    time.sleep(1.0)
    os.kill(process.pid, number)
    rest = process.stderr.read()
    assert process.wait(60) == 128 + number
    assert "same command goes on" in rest
    assert (project / "data/.resume/test/distill/state.pt").is_file()
    killed = runs_of(project)[-1]
    assert killed.info.status == "KILLED"

    again = typed(*command)
    assert again.returncode == 0, again.stderr
    assert "going on in epoch" in again.stderr
    continued = runs_of(project)[-1]
    assert continued.info.status == "FINISHED"
    assert continued.data.tags["resumed_from"] == killed.info.run_id
    resumed = (project / STUDENT).read_bytes()
    assert not (project / "data/.resume/test/distill/state.pt").exists()

    assert typed(*command).returncode == 0
    assert (project / STUDENT).read_bytes() == resumed, "an uninterrupted run gives the same bytes"


def test_commands_of_the_readme_are_those_tested_here():
    text = (PROJECT / "README.md").read_text()
    for command in ("make run", "make test", "kedro run\n", "kedro run --pipelines distill", "dvc repro"):
        assert command in text
    scenarios = {folder.name for folder in (PROJECT / "conf").iterdir()} - {"base", "local", "test", "logging.yml"}
    assert all(f"`{scenario}`" in text for scenario in scenarios)
