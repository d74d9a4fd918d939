"""Disturbs a command, types it again, and compares its results with those of an undisturbed run."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from clones import environment

FAULTS = Path(__file__).with_name("faults")
BARE = (sys.executable, str(Path(__file__).with_name("bare.py")))
# A state is kept after every batch, so that what is written does not depend on timing.
EAGER = "runtime.checkpoint_seconds=0.000001,runtime.threads=1,distill.epochs=6"
KEDRO = ("kedro", "run", "--env", "test", "--params", EAGER, "--pipelines", "lte,teacher,distill")
RESULTS = ("**/*.safetensors", "**/*history.*")


@dataclass
class Campaign:
    """A command typed in a folder, with its results under data/."""

    folder: Path
    command: tuple[str, ...]

    def type(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Type the command, with the fault that FAULT=... names."""
        path = os.pathsep.join(filter(None, (str(FAULTS), os.environ.get("PYTHONPATH"))))
        kept = {**environment(), **variables, "PYTHONPATH": path}
        settings = {"cwd": self.folder, "env": kept, "timeout": 600}
        return subprocess.run(self.command, check=False, capture_output=True, text=True, **settings)

    def found(self) -> dict[str, str]:
        """Digests of the results."""
        files = [file for pattern in RESULTS for file in (self.folder / "data").glob(pattern)]
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    def undisturbed(self) -> "Campaign":
        """Run without a fault, and remember the results and the number of states written."""
        done = self.type(WRITES=str(self.folder / "writes"))
        assert done.returncode == 0, done.stderr
        self.expected, self.writes = self.found(), int((self.folder / "writes").read_text())
        assert self.expected
        return self

    def empty(self) -> None:
        """Empty data/, as in a fresh clone."""
        for file in (self.folder / "data").rglob("*.*"):
            if file.is_file() or file.is_symlink():
                file.unlink()

    def goes_on(self) -> str:
        """Check that the same command ends as if nothing had happened; returns its messages."""
        again = self.type()
        assert again.returncode == 0, again.stderr
        assert self.found() == self.expected
        assert not list((self.folder / "data").rglob("*.part")), "nothing half written is left"
        return again.stderr
