"""Makes clones of the project and types commands in them."""

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
    """Copy the parts of the project that a run needs, without outputs."""
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
    """Environment variables without those that would redirect a run; commands of this Python come first on PATH."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "KEDRO_"))}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"}


def typing_in(folder: Path) -> Typed:
    """A function that types a command in a folder and waits for it."""

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
    """Lines that a started run printed up to its estimate, after which the distillation begins."""
    told = []
    for line in process.stderr or ():
        told.append(line)
        if line.startswith("Estimate"):
            break
    return told


def small_digits(project: Path) -> None:
    """Give the digits scenario, which DVC runs, the size of a test."""
    for name in ("teacher", "distill"):
        small = (project / "conf" / "test" / f"parameters_{name}.yml").read_text()
        (project / "conf" / "digits" / f"parameters_{name}.yml").write_text(small)


def committed(folder: Path, message: str = "state") -> None:
    """Commit a whole folder, with `git init` if needed; the author is set, as DVC's experiments ask for one."""
    if not (folder / ".git").exists():
        subprocess.run(("git", "init", "-q", "-b", "main"), cwd=folder, check=True)
    for command in (
        ("config", "user.name", "Somebody"),
        ("config", "user.email", "somebody@example.org"),
        ("add", "-A"),
        ("commit", "-q", "--allow-empty", "-m", message),
    ):
        subprocess.run(("git", *command), cwd=folder, check=True)
