"""A killed process cannot end its MLflow run; the next run from the same place does it."""

import os
import socket

import mlflow
import psutil
from mlflow import MlflowClient

TAG = "process"


def here() -> str:
    """This machine, or this container: where a process number means the same."""
    space = "/proc/self/ns/pid"
    return f"{socket.gethostname()} {os.readlink(space) if os.path.exists(space) else ''}".strip()


def mark() -> dict[str, str]:
    """The tag by which a later run tells whether this process is alive."""
    me = psutil.Process()
    return {TAG: f"{here()} {me.pid} {me.create_time():.0f}"}


def end_killed(experiment: str) -> list[str]:
    """End as KILLED all runs of this place that are RUNNING without a process; returns what to tell the user."""
    found = mlflow.get_experiment_by_name(experiment)
    if found is None:
        return []
    client = MlflowClient()
    running = client.search_runs(
        [found.experiment_id], f"attributes.status = 'RUNNING' AND tags.{TAG} LIKE '{here()} %'"
    )
    dead = [run.info.run_id for run in running if not is_alive(run.data.tags[TAG])]
    for run_id in dead:
        client.set_terminated(run_id, "KILLED")
    return [f"MLflow had run {run_id} as running; its process was killed, and now it says so." for run_id in dead]


def is_alive(tag: str) -> bool:
    """Whether the process of a tag of this place lives, and is no other one with its number."""
    *_, number, began = tag.split()
    try:
        return f"{psutil.Process(int(number)).create_time():.0f}" == began
    except psutil.NoSuchProcess:
        return False
