"""Stop at any moment and go on: one state file per stage, tied to what made it by a fingerprint."""

import hashlib
import json
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from types import FrameType
from typing import Any, Protocol

import torch

import nayer
from nayer import ranks
from nayer.config import RuntimeConfig
from nayer.errors import Diverged, InputError, Interrupted, Stopped, first_line, printable, reason
from nayer.files import check_unfolding, sweep, write_atomically
from nayer.training.reporting import Reporter

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LIBRARY = ("config.py", "images.py", "ranks.py", "models", "synthesis", "training")


def library_digest() -> str:
    """The sha256 of the source that decides what a loop computes."""
    root = Path(nayer.__file__).parent
    total = hashlib.sha256()
    for part in LIBRARY:
        path = root / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            total.update(file.read_bytes())
    return total.hexdigest()


def random_state() -> dict[str, Any]:
    """The state of torch's generators."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put torch's generators where `random_state` found them."""
    torch.set_rng_state(state["cpu"].cpu())
    if state["cuda"]:
        torch.cuda.set_rng_state_all([each.cpu() for each in state["cuda"]])


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The leaves in which two nested mappings differ, as `key: old -> new`."""
    found = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {before} -> {after}")
    return found


def _save(content: dict[str, Any], path: Path) -> None:
    # Through Python's file: torch's own does not say why it could not write.
    with path.open("wb") as file:
        torch.save(content, file)


def state_file(resume_folder: str, stage: str) -> Path:
    """Where the state of a stage lies."""
    return Path(resume_folder) / stage / "state.pt"


def going_on(resume_folder: str, afresh: bool = False) -> str:
    """What is kept there and which command goes on, or starts `afresh` with other values: the end of a message."""
    states = sorted(Path(resume_folder).glob("*/state.pt"), key=lambda path: path.stat().st_mtime)
    if not states:
        return "No state had been kept yet. The same command starts again."
    kept = " and ".join(path.parent.name for path in states)
    way = "With other values the same command starts afresh." if afresh else "The same command goes on from there."
    return f"Kept in '{resume_folder}': the last state of {kept}. {way}"


class Stateful(Protocol):
    """What goes on from a state."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what was kept of another."""


def read_state(path: Path) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Run, states by process and fingerprint in a file of `ResumePoint.keep`.

    Raises:
        Exception: it is none, or it is damaged.
    """
    check_unfolding(path)
    # Mapped into memory, torch compares no checksums.
    with zipfile.ZipFile(path) as archive:
        if spoilt := archive.testzip():
            raise ValueError(f"'{spoilt}' in it has another checksum")
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    run_id, states, fingerprint = found["run_id"], found["states"], found["fingerprint"]
    if not (isinstance(run_id, str) and isinstance(states, list) and isinstance(fingerprint, dict)):
        raise TypeError("it is of another kind")
    return run_id, states, fingerprint


class ResumePoint:
    """The state file of one stage and the moments at which it is written.

    Equal fingerprints: go on. Different: start afresh, keep the old state as `previous`, print the difference; or
    refuse with `runtime.resume: require`. The last state stays until what came out is safe: then `discard` deletes
    it, so that a second run trains again.

    Of several processes the first one alone reads and writes the file, which holds the states of all, taken at the
    same point of their common work.
    """

    def __init__(self, config: RuntimeConfig, stage: str, fingerprint: Mapping[str, Any], reporter: Reporter) -> None:
        self.config, self.stage, self.reporter = config, stage, reporter
        # Through JSON, so that tuples compare equal to the lists that come back.
        whole = {**fingerprint, "processes": ranks.size(), "library": library_digest()}
        self.fingerprint = json.loads(json.dumps(whole, sort_keys=True))
        self.path = state_file(config.resume_folder, stage)
        self._stop: signal.Signals | None = None
        self._written = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The state to go on from, or None for a fresh start.

        Raises:
            InputError: `runtime.resume: require` and no fitting state exists.
        """
        states: list[Any] | None = self._read() if ranks.rank() == 0 else None
        state: dict[str, Any] | None = ranks.scatter(states or [None] * ranks.size())
        return state

    def resumed_in(self, epoch: int, epochs: int) -> str:
        """How far the state is, for the user; `epoch` counts from 0."""
        way = "finished before, not done again" if epoch == epochs else f"going on in epoch {epoch + 1} of {epochs}"
        return f"{self.stage}: {way}"

    def restore(self, into: Stateful) -> bool:
        """Bring the kept state into `into`; False for a fresh start.

        Raises:
            InputError: as `load`, or the state fits by its fingerprint only.
        """
        if (kept := self.load()) is None:
            return False
        try:
            into.load_state_dict(kept)
        except Exception as error:  # a state that somebody changed may raise anything
            raise InputError(
                f"runtime.resume: the kept state of {self.stage} in '{self.path}' does not hold what it should "
                f"({first_line(error)}); remove it, or set never."
            ) from error
        return True

    def _read(self) -> list[dict[str, Any]] | None:
        """The states of all processes, if the file is there and fits."""
        sweep(self.path)
        if self.config.resume == "never" or not self.path.is_file():
            if self.config.resume == "require":
                raise InputError(
                    f"runtime.resume: 'require', but there is no state in '{self.path.parent}'; set auto to start."
                )
            return None
        try:
            run_id, states, fingerprint = read_state(self.path)
            changed = differences(fingerprint, self.fingerprint)
        except Exception as error:  # a damaged file may raise anything
            why = "it holds more than a state" if isinstance(error, UnpicklingError) else first_line(error)
            changed = [f"the state file cannot be read ({why})"]
        if not changed:
            self.reporter.resumed(run_id)
            return states
        listed = printable("; ".join(changed[:8]))
        if self.config.resume == "require":
            raise InputError(f"runtime.resume: 'require', but the kept state of {self.stage} does not fit: {listed}.")
        previous = self.path.with_name("previous.pt")
        self.path.replace(previous)
        self.reporter.say(
            f"{self.stage}: starting afresh, the kept state does not fit ({listed}); it stays as {previous}"
        )
        return None

    def keep(self, state: Callable[[], dict[str, Any]], finished: bool = False) -> None:
        """Between batches: write the state if it is time, if the stage is finished, or if the run was asked to stop.

        Raises:
            Interrupted: after a signal, when the state is safe.
            Stopped: the state cannot be written; the one before stays.
        """
        due = finished or time.monotonic() - self._written >= self.config.checkpoint_seconds
        due, stop = ranks.any_of(due, self._stop is not None)
        if not due and not stop:
            return
        states = ranks.gather(state())
        if ranks.rank() == 0:
            self._write({"fingerprint": self.fingerprint, "run_id": self.reporter.run_id, "states": states})
        self._written = time.monotonic()
        if finished:  # a signal may have come while the last state was written
            (stop,) = ranks.any_of(self._stop is not None)
        if stop:
            raise self._interrupted("stopped by")

    def _interrupted(self, how: str) -> Interrupted:
        number = self._stop or signal.SIGTERM
        kept = going_on(self.config.resume_folder)
        return Interrupted(f"{self.stage} {how} {number.name}. {kept}", number)

    def _write(self, content: dict[str, Any]) -> None:
        try:
            write_atomically(self.path, lambda part: _save(content, part))
        except OSError as error:
            raise Stopped(
                f"the state could not be written to '{self.path.parent}' ({reason(error)}); make room, or the folder "
                "writable"
            ) from error

    def discard(self) -> None:
        """What came out is safe: the next run starts afresh."""
        self.path.unlink(missing_ok=True)

    @contextmanager
    def stopping_safely(self) -> Iterator[None]:
        """SIGINT and SIGTERM wait for `keep`; a second one stops at once. What stops by itself says how to go on."""
        main = threading.current_thread() is threading.main_thread()
        previous = {number: signal.getsignal(number) for number in SIGNALS} if main else {}

        def on_signal(number: int, _: FrameType | None) -> None:
            if ranks.size() > 1:
                # It comes from the terminal and from the launcher, and in the middle of a message to the launcher.
                self._stop = signal.Signals(number)
                return
            if self._stop is not None:
                self._stop = signal.Signals(number)
                raise self._interrupted("stopped at once by a second signal,")
            self._stop = signal.Signals(number)
            self.reporter.say(f"{self.stage}: {self._stop.name} received, keeping the state ...")

        for number in previous:
            signal.signal(number, on_signal)
        try:
            yield
        except Stopped as error:
            ending = going_on(self.config.resume_folder, afresh=isinstance(error, Diverged))
            raise Stopped(f"{self.stage}: {error}. {ending}") from error
        else:
            if self._stop is not None and ranks.size() == 1:
                raise self._interrupted("stopped by")
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            self.reporter.end()
