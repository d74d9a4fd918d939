"""A clone of the project in which real command lines are typed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PARTS = (
    "conf",
    "src",
    "pyproject.toml",
    ".telemetry",
    "dvc.yaml",
    ".dvc",
    ".dvcignore",
    "requirements.lock",
    "README.md",
)
Typed = Callable[..., subprocess.CompletedProcess[str]]


def clone(folder: Path) -> Path:
    """The parts of the project that a run needs, without outputs."""
    for name in PARTS:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "tmp", "cache"))
        elif source.exists():
            shutil.copy(source, folder / name)
    (folder / "conf" / "local").mkdir(exist_ok=True)
    return folder


def environment() -> dict[str, str]:
    """This environment without what would redirect a run, with the commands of this Python first."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "KEDRO_"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return clone(folder)


@pytest.fixture
def started(project: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Types a command in the project and does not wait for it."""

    def start(*command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(command, cwd=project, env=environment(), stderr=subprocess.PIPE, text=True)

    return start


@pytest.fixture
def typed(project: Path) -> Typed:
    """Types a command in the project and waits for it."""

    def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=project,
            env={**environment(), **variables},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run
