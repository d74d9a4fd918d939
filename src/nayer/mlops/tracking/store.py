"""The store in which runs are recorded, a local file or a server: its address, credentials and availability."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
import requests

from nayer.core.errors import InputError, without_password

SERVER_SECONDS = 10


def home(project: Path) -> Path:
    """Folder in which records are kept: the project itself, even if DVC runs an experiment in a temporary copy."""
    return Path(os.environ.get("DVC_ROOT") or project)


def point_to_store(project: Path, tracking_uri: str) -> None:
    """Point MLflow at the store; an unset `MLFLOW_TRACKING_URI` means `tracking_uri` under the project's root.

    Nothing is written yet.

    Raises:
        InputError: the server does not respond in time, or only one of its user and password is given.
    """
    # Notice a dead server within seconds; MLflow's default retries take minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(SERVER_SECONDS))
    # Where there is no git command, MLflow says so in a paragraph; the run then has no commit, and that is all.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    uri = os.environ.get("MLFLOW_TRACKING_URI") or tracking_uri
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        uri = without_credentials(uri)
        check_server(uri)
    elif parts.scheme == "sqlite" and not parts.path.startswith("//"):
        uri = f"sqlite:///{home(project) / parts.path.lstrip('/')}"
    mlflow.set_tracking_uri(uri)


def open_experiment(project: Path, experiment: str) -> None:
    """Create the experiment if it does not exist, and make it the active one."""
    if mlflow.get_experiment_by_name(experiment) is None:
        served = urlsplit(mlflow.get_tracking_uri()).scheme in ("http", "https")
        local = None if served else (home(project) / "mlruns").as_uri()
        mlflow.create_experiment(experiment, artifact_location=local)
    mlflow.set_experiment(experiment)


def without_credentials(uri: str) -> str:
    """Address without user and password, as MLflow prints it; they move to the environment, where MLflow reads them."""
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
    """Refuse a tracking server whose health check fails."""
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("USERNAME", "PASSWORD"))
    known = (user, password) if user and password else None
    try:
        requests.get(f"{uri.rstrip('/')}/health", auth=known, timeout=SERVER_SECONDS).raise_for_status()
    except requests.RequestException as error:
        raise InputError(
            f"MLFLOW_TRACKING_URI: no MLflow server answers at {without_password(uri)} ({type(error).__name__}); start "
            "it, correct the address, or unset the variable for the local store."
        ) from error
