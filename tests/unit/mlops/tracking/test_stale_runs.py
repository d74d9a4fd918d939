"""Runs whose process was killed do not stay RUNNING."""

import os
import subprocess
import sys

import mlflow
import pytest
from mlflow import MlflowClient

from nayer.mlops.tracking.stale_runs import TAG, began, end_killed, here, mark


@pytest.fixture
def started(store):
    def start(tag: str | None) -> str:
        experiment = mlflow.get_experiment_by_name("nayer").experiment_id
        return MlflowClient().create_run(experiment, tags={TAG: tag} if tag else {}).info.run_id

    return start


def status(run_id: str) -> str:
    return MlflowClient().get_run(run_id).info.status


def test_only_runs_of_dead_processes_of_this_place_are_ended(started):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    then = began(child.pid)
    child.communicate(b"\n")
    dead = started(f"{here()} {child.pid} {then}")
    reused = started(f"{here()} {os.getpid()} 1")
    kept = [started(mark()[TAG]), started(f"elsewhere {child.pid} {then}"), started(None), started(f"{here()} odd")]
    told = end_killed("nayer")
    assert [status(run_id) for run_id in (dead, reused, *kept)] == ["KILLED"] * 2 + ["RUNNING"] * 4
    assert len(told) == 2
    assert dead in " ".join(told)
    assert end_killed("nayer") == []


def test_a_store_without_the_experiment_has_none(store):
    assert end_killed("no such experiment") == []
