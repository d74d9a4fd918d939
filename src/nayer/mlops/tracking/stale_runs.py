"""Clean-up of MLflow runs whose process was killed before it could end them; the next run from the same place does."""

import os
import socket
from pathlib import Path

import mlflow
import psutil
from mlflow import MlflowClient

TAG = "process"


def here() -> str:
    """Identifier of this user, machine, boot and container: the scope in which a process number is meaningful."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    known = [boot.read_text().strip()] if boot.exists() else []
    known += [str(space.readlink())] if space.is_symlink() else []
    return " ".join((socket.gethostname(), str(os.getuid()), *known))


def mark() -> dict[str, str]:
    """Tag from which a later run can tell whether this process is still alive."""
    return {TAG: f"{here()} {os.getpid()} {began(os.getpid())}"}


def began(process: int) -> str:
    """Start time of a process, in ticks since boot where /proc has them: changes of the clock do not affect those."""
    told = Path(f"/proc/{process}/stat")
    if told.parent.parent.joinpath("self").exists():
        return told.read_text().rpartition(")")[2].split()[19]
    return f"{psutil.Process(process).create_time():.0f}"


def end_killed(experiment: str) -> list[str]:
    """End all runs of this place as KILLED that are RUNNING without a process; returns messages for the user."""
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
    return [f"Run {run_id} was RUNNING in MLflow, but its process was killed; now KILLED." for run_id in dead]


def is_alive(tag: str) -> bool:
    """Whether the tagged process still runs, rather than another with a reused number; True in case of doubt."""
    try:
        *_, number, then = tag.split()
        return began(int(number)) == then
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return False
    except (psutil.Error, OSError, ValueError, IndexError):
        return True
