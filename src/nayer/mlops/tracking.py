"""The MLflow run around a Kedro run: its server, its tags, its parameters."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import git
import mlflow
import requests
from pydantic import BaseModel

from nayer.errors import InputError

SERVER_SECONDS = 10
LONGEST_VALUE = 6000


def configure(project: Path, tracking_uri: str, experiment: str) -> None:
    """Point MLflow at the store; an unset `MLFLOW_TRACKING_URI` means `tracking_uri` under the project's root.

    Raises:
        InputError: a server is named and none answers in time.
    """
    # A dead server is noticed here in seconds; unset, MLflow's own retries take minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(SERVER_SECONDS))
    uri = os.environ.get("MLFLOW_TRACKING_URI") or tracking_uri
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        check_server(uri)
    elif parts.scheme == "sqlite" and not parts.path.startswith("//"):
        uri = f"sqlite:///{project / parts.path.lstrip('/')}"
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name(experiment) is None:
        local = None if parts.scheme in ("http", "https") else (project / "mlruns").as_uri()
        mlflow.create_experiment(experiment, artifact_location=local)
    mlflow.set_experiment(experiment)


def check_server(uri: str) -> None:
    """Ask a tracking server for its health, without credentials in the answer to the user."""
    parts = urlsplit(uri)
    shown = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=SERVER_SECONDS).raise_for_status()
    except requests.RequestException as error:
        raise InputError(
            f"MLFLOW_TRACKING_URI: no MLflow server answers at {shown} ({type(error).__name__}); start it, correct the "
            "address, or unset the variable for the local store."
        ) from error


def git_tags(project: Path) -> dict[str, str]:
    """Commit and whether tracked files differ from it; empty outside of a repository."""
    try:
        repository = git.Repo(project, search_parent_directories=True)
        return {"git_commit": repository.head.commit.hexsha, "git_dirty": str(repository.is_dirty()).lower()}
    except (git.InvalidGitRepositoryError, git.NoSuchPathError, ValueError):
        return {}


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


def log_figures(values: Mapping[str, Any], prefix: str = "") -> None:
    """Each number of a nested mapping as its own metric, each text, such as a digest or a version, as its own tag."""
    flat = flatten(values, prefix)
    mlflow.log_metrics({key: value for key, value in flat.items() if isinstance(value, int | float)})
    mlflow.set_tags({key: value for key, value in flat.items() if isinstance(value, str)})
