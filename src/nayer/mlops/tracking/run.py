"""The open MLflow run: its tags, parameters and figures."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
import requests
from mlflow.exceptions import MlflowException

from nayer.core.errors import InputError, first_line, without_password
from nayer.core.files import digest
from nayer.core.nested import flatten
from nayer.core.project import pipeline_file
from nayer.mlops.tracking.outbox import Outbox, send_kept
from nayer.mlops.tracking.store import home

MAX_VALUE_LENGTH = 6000
OUTBOX = Path("data", ".outbox")
# A stack with the current run last, like MLflow's own.
_open: list[Outbox] = []


@contextmanager
def answering() -> Iterator[None]:
    """Turn a failure of the MLflow store inside this context into one sentence, and end an open run.

    Raises:
        InputError: the store refused or did not respond; quotes its error.
    """
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        end("FAILED")
        place = without_password(mlflow.get_tracking_uri())
        raise InputError(
            f"MLFLOW_TRACKING_URI: MLflow at {place} failed ({first_line(error)}); check it and your user's rights "
            "there, or unset the variable for the local store."
        ) from error


def source_tags(project: Path, scenario: str) -> dict[str, str]:
    """Tags: git commit, whether tracked files differ from it, and the digest of dvc.lock; omits what is missing."""
    tags = {}
    lock = pipeline_file(project, scenario).with_name("dvc.lock")
    if lock.is_file():
        tags["dvc_lock"] = digest(lock)
    try:
        import git
    except ImportError:  # raised where the git command is not installed
        return tags
    with suppress(git.GitError, ValueError):
        repository = git.Repo(project, search_parent_directories=True)
        tags |= {"git_commit": repository.head.commit.hexsha, "git_dirty": str(repository.is_dirty()).lower()}
    return tags


def catch_up(project: Path) -> list[str]:
    """Send what earlier runs could not send; returns messages for the user."""
    return send_kept(home(project) / OUTBOX)


def begin(project: Path, name: str, tags: Mapping[str, str]) -> Outbox:
    """Open a run; returns the outbox through which everything is sent to it."""
    run = mlflow.start_run(run_name=name, tags=dict(tags))
    _open.append(Outbox(run.info.run_id, home(project) / OUTBOX))
    return _open[-1]


def current() -> Outbox | None:
    """Outbox of the open run, or None."""
    return _open[-1] if _open else None


def end(status: str) -> str | None:
    """Send what is pending and end the run; returns a message for the user if MLflow missed something."""
    if not _open:
        return None
    told = _open.pop().close(status)
    # The outbox has ended the run if it could; this makes the MLflow client forget that it was open.
    with suppress(MlflowException):
        mlflow.end_run(status)
    return told


def log_parameters(values: Mapping[str, Any]) -> None:
    """Log each hyper-parameter as an MLflow parameter of its own."""
    mlflow.log_params({key: str(value)[:MAX_VALUE_LENGTH] for key, value in flatten(values).items()})


def send_figures(outbox: Outbox, values: Mapping[str, Any], prefix: str = "") -> None:
    """Send each number of a nested mapping as a metric, and each text, such as a digest or a version, as a tag."""
    flat = flatten(values, prefix)
    outbox.metrics({key: value for key, value in flat.items() if isinstance(value, int | float)})
    outbox.tags({key: value for key, value in flat.items() if isinstance(value, str)})
