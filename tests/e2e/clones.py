"""Clones of the project, and what is typed in them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PARTS = (
    "benchmarks",
    "conf",
    "src",
    "pyproject.toml",
    ".telemetry",
    "dvc.yaml",
    ".dvc",
    ".dvcignore",
    "requirements.lock",
    "README.md",
    ".gitignore",
)
Typed = Callable[..., subprocess.CompletedProcess[str]]


def clone(folder: Path) -> Path:
    """The parts of the project that a run needs, without outputs."""
    for name in PARTS:
        source = PROJECT / name
        if source.is_dir():
            unwanted = shutil.ignore_patterns("__pycache__", "tmp", "cache", "config.local")
            shutil.copytree(source, folder / name, ignore=unwanted)
        elif source.exists():
            shutil.copy(source, folder / name)
    (folder / "conf" / "local").mkdir(exist_ok=True)
    return folder


def environment() -> dict[str, str]:
    """This environment without what would redirect a run, with the commands of this Python first."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "KEDRO_"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"}


def typing_in(folder: Path) -> Typed:
    """Types a command in a folder and waits for it."""

    def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder,
            env={**environment(), **variables},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


def heard_until_distilling(process: "subprocess.Popen[str]") -> list[str]:
    """What a started run said up to its estimate, after which the distillation begins."""
    told = []
    for line in process.stderr or ():
        told.append(line)
        if line.startswith("Estimate"):
            break
    return told


def small_digits(project: Path) -> None:
    """Digits as DVC sees them, at the size of a test."""
    for name in ("teacher", "distill"):
        small = (project / "conf" / "test" / f"parameters_{name}.yml").read_text()
        (project / "conf" / "digits" / f"parameters_{name}.yml").write_text(small)


def committed(folder: Path, message: str = "state") -> None:
    """Everything of a folder in git, which is made where there is none; DVC's experiments want to know who commits."""
    if not (folder / ".git").exists():
        subprocess.run(("git", "init", "-q", "-b", "main"), cwd=folder, check=True)
    for command in (
        ("config", "user.name", "Somebody"),
        ("config", "user.email", "somebody@example.org"),
        ("add", "-A"),
        ("commit", "-q", "--allow-empty", "-m", message),
    ):
        subprocess.run(("git", *command), cwd=folder, check=True)
