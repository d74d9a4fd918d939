"""The MLflow run around a Kedro run: its server, its tags, its parameters."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import git
import mlflow
import requests
from mlflow.exceptions import MlflowException
from pydantic import BaseModel

from nayer.errors import InputError, first_line, without_password
from nayer.files import digest
from nayer.mlops.outbox import Outbox, send_kept
from nayer.scenarios import pipeline_file

SERVER_SECONDS = 10
LONGEST_VALUE = 6000
OUTBOX = Path("data", ".outbox")
# The open run last, as MLflow itself keeps them.
_open: list[Outbox] = []


def home(project: Path) -> Path:
    """Where records are kept: DVC runs experiments in temporary copies of the project, and says where it really is."""
    return Path(os.environ.get("DVC_ROOT") or project)


def point_to_store(project: Path, tracking_uri: str) -> None:
    """Point MLflow at the store; an unset `MLFLOW_TRACKING_URI` means `tracking_uri` under the project's root.

    Nothing is written yet.

    Raises:
        InputError: a server is named and none answers in time, or only half of its credentials are given.
    """
    # A dead server is noticed here in seconds; unset, MLflow's own retries take minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(SERVER_SECONDS))
    uri = os.environ.get("MLFLOW_TRACKING_URI") or tracking_uri
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        uri = without_credentials(uri)
        check_server(uri)
    elif parts.scheme == "sqlite" and not parts.path.startswith("//"):
        uri = f"sqlite:///{home(project) / parts.path.lstrip('/')}"
    mlflow.set_tracking_uri(uri)


def open_experiment(project: Path, experiment: str) -> None:
    """Make the experiment if there is none, and take it for what follows."""
    if mlflow.get_experiment_by_name(experiment) is None:
        served = urlsplit(mlflow.get_tracking_uri()).scheme in ("http", "https")
        local = None if served else (home(project) / "mlruns").as_uri()
        mlflow.create_experiment(experiment, artifact_location=local)
    mlflow.set_experiment(experiment)


def without_credentials(uri: str) -> str:
    """The address alone; MLflow prints it, and finds user and password where it looks for them, too."""
    user, given, address = urlsplit(uri).netloc.rpartition("@")
    if not given:
        return uri
    name, _, password = user.partition(":")
    if not (name and password):
        raise InputError(
            "MLFLOW_TRACKING_URI: it has a user or a password, but not both; give both, or set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
        )
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(name), unquote(password)
    os.environ["MLFLOW_TRACKING_URI"] = plain = urlsplit(uri)._replace(netloc=address).geturl()
    return plain


def check_server(uri: str) -> None:
    """Ask a tracking server for its health."""
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    known = (user, password) if user and password else None
    try:
        requests.get(f"{uri.rstrip('/')}/health", auth=known, timeout=SERVER_SECONDS).raise_for_status()
    except requests.RequestException as error:
        raise InputError(
            f"MLFLOW_TRACKING_URI: no MLflow server answers at {without_password(uri)} ({type(error).__name__}); start "
            "it, correct the address, or unset the variable for the local store."
        ) from error


@contextmanager
def answering() -> Iterator[None]:
    """A store that refuses or falls silent in here is told in one sentence, and an open run is ended.

    Raises:
        InputError: with what the store said.
    """
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        end("FAILED")
        place = without_password(mlflow.get_tracking_uri())
        raise InputError(
            f"MLFLOW_TRACKING_URI: MLflow at {place} failed ({first_line(error)}); see to it and to the rights of your "
            "user there, or unset the variable for the local store."
        ) from error


def source_tags(project: Path, scenario: str) -> dict[str, str]:
    """Commit, whether tracked files differ from it, and the digest of dvc.lock; what there is none of is left out."""
    tags = {}
    lock = pipeline_file(project, scenario).with_name("dvc.lock")
    if lock.is_file():
        tags["dvc_lock"] = digest(lock)
    try:
        repository = git.Repo(project, search_parent_directories=True)
        tags |= {"git_commit": repository.head.commit.hexsha, "git_dirty": str(repository.is_dirty()).lower()}
    except (git.InvalidGitRepositoryError, git.NoSuchPathError, ValueError):
        pass
    return tags


def catch_up(project: Path) -> list[str]:
    """Send what earlier runs could not send; returns what to tell the user."""
    return send_kept(home(project) / OUTBOX)


def begin(project: Path, name: str, tags: Mapping[str, str]) -> Outbox:
    """Open a run, and the outbox by which it is told everything."""
    run = mlflow.start_run(run_name=name, tags=dict(tags))
    _open.append(Outbox(run.info.run_id, home(project) / OUTBOX))
    return _open[-1]


def current() -> Outbox | None:
    """The outbox of the open run, if there is one."""
    return _open[-1] if _open else None


def end(status: str) -> str | None:
    """Send what is under way and end the run; returns what to tell the user if MLflow missed something."""
    if not _open:
        return None
    told = _open.pop().close(status)
    # The outbox has ended the run, or cannot; here MLflow only forgets that it was open.
    with suppress(MlflowException):
        mlflow.end_run(status)
    return told


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings and typed parameters as one mapping, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        inner = value.model_dump() if isinstance(value, BaseModel) else value
        if isinstance(inner, Mapping):
            flat |= flatten(inner, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = inner
    return flat


def log_parameters(values: Mapping[str, Any]) -> None:
    """Each hyper-parameter as its own MLflow parameter."""
    mlflow.log_params({key: str(value)[:LONGEST_VALUE] for key, value in flatten(values).items()})


def send_figures(outbox: Outbox, values: Mapping[str, Any], prefix: str = "") -> None:
    """Each number of a nested mapping as its own metric, each text, such as a digest or a version, as its own tag."""
    flat = flatten(values, prefix)
    outbox.metrics({key: value for key, value in flat.items() if isinstance(value, int | float)})
    outbox.tags({key: value for key, value in flat.items() if isinstance(value, str)})
