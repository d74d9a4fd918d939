"""A killed process cannot end its MLflow run; the next run from the same place does it."""

import os
import socket
from pathlib import Path

import mlflow
import psutil
from mlflow import MlflowClient

TAG = "process"


def here() -> str:
    """This user in this container of this machine since it was started: where a process number means the same."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    known = [boot.read_text().strip()] if boot.exists() else []
    known += [str(space.readlink())] if space.is_symlink() else []
    return " ".join((socket.gethostname(), str(os.getuid()), *known))


def mark() -> dict[str, str]:
    """The tag by which a later run tells whether this process is alive."""
    return {TAG: f"{here()} {os.getpid()} {began(os.getpid())}"}


def began(process: int) -> str:
    """When a process began, in ticks since the machine's start where the system tells them: no clock moves those."""
    told = Path(f"/proc/{process}/stat")
    if told.parent.parent.joinpath("self").exists():
        return told.read_text().rpartition(")")[2].split()[19]
    return f"{psutil.Process(process).create_time():.0f}"


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
    """Whether the process of a tag of this place lives, and is no other one with its number; in doubt it does."""
    try:
        *_, number, then = tag.split()
        return began(int(number)) == then
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return False
    except (psutil.Error, OSError, ValueError, IndexError):
        return True
