"""Lets a stage stop at any moment and resume: one state file per stage, tied by a fingerprint to what made it."""

import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from types import FrameType
from typing import Any, Protocol

from nayer.core.errors import Diverged, InputError, Interrupted, Stopped, first_line, printable, reason
from nayer.core.files import check_folders, sweep, write_atomically
from nayer.engine import distributed
from nayer.engine.config import RuntimeConfig
from nayer.engine.fingerprint import differences
from nayer.engine.progress import Reporter
from nayer.engine.signals import handling
from nayer.engine.state_file import read_state, save_state
from nayer.engine.state_folder import resume_hint, state_file

# The last state that did not fit a command; it fits again if the command before is typed again.
PREVIOUS = "previous.pt"


def check_resume(runtime: RuntimeConfig, stages: Iterable[str]) -> None:
    """Refuse stages whose state cannot be kept, or is required but missing.

    Raises:
        InputError: a stage is refused; names the key.
    """
    for stage in stages:
        state = state_file(runtime.resume_folder, stage)
        check_folders([state], "runtime.resume_folder: ")
        if runtime.resume == "require" and not any(each.is_file() for each in (state, state.with_name(PREVIOUS))):
            raise InputError(
                f"runtime.resume: 'require', but there is no state in '{state.parent}'; set auto to start, or name "
                "only the pipelines that were interrupted."
            )


class Stateful(Protocol):
    """Something that can resume from a state."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a kept state."""


class ResumePoint:
    """The state file of one stage and the moments at which it is written.

    If the fingerprints are equal, the stage resumes. If they differ, it starts afresh, keeps the old state as
    `previous.pt` and prints the difference; with `runtime.resume: require` it refuses instead. If it is `previous.pt`
    that fits, the two change places. The last state stays until the stage's outputs are saved: then `discard` deletes
    it, so that a second run trains again.

    With several processes, the first one alone reads and writes the file, which holds the states of all, taken at the
    same point of their common work.
    """

    def __init__(self, config: RuntimeConfig, stage: str, fingerprint: Mapping[str, Any], reporter: Reporter) -> None:
        self.config, self.stage, self.reporter = config, stage, reporter
        # Through JSON, so that tuples compare equal to the lists that are read back.
        self.fingerprint = json.loads(json.dumps(dict(fingerprint), sort_keys=True))
        self.path = state_file(config.resume_folder, stage)
        self._stop: signal.Signals | None = None
        self._written = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """Read this process's state to resume from; None for a fresh start.

        Raises:
            InputError: no state fits, and `runtime.resume` is `require`.
        """
        states: list[Any] | None = self._read() if distributed.rank() == 0 else None
        state: dict[str, Any] | None = distributed.scatter(states or [None] * distributed.size())
        return state

    def resumed_in(self, epoch: int, epochs: int) -> str:
        """A sentence for the user about how far the state is; `epoch` counts from 0."""
        way = "finished before, not done again" if epoch == epochs else f"going on in epoch {epoch + 1} of {epochs}"
        return f"{self.stage}: {way}"

    def restore(self, into: Stateful) -> bool:
        """Load the kept state into `into`; returns False for a fresh start.

        Raises:
            InputError: as in `load`, or the fingerprint fits but the content does not.
        """
        if (kept := self.load()) is None:
            return False
        try:
            into.load_state_dict(kept)
        except Interrupted:
            raise
        except Exception as error:  # a state that was tampered with may raise anything
            raise InputError(
                f"runtime.resume: the kept state of {self.stage} in '{self.path}' does not hold what it should "
                f"({first_line(error)}); remove it, or set never."
            ) from error
        return True

    def _read(self) -> list[dict[str, Any]] | None:
        """States of all processes by rank, or None if there is no file or it does not fit."""
        sweep(self.path)
        if self.config.resume == "never":
            return None
        states, changed = self._fitting(self.path)
        if states:
            return states
        previous = self.path.with_name(PREVIOUS)
        states, _ = self._fitting(previous)
        if states:
            self._exchange(previous)
            return states
        listed = printable("; ".join(changed[:8]))
        if self.config.resume == "require":
            wrong = f"the kept state of {self.stage} does not fit: {listed}"
            missing = f"there is no state in '{self.path.parent}'; set auto to start"
            raise InputError(f"runtime.resume: 'require', but {wrong if changed else missing}.")
        if changed:
            self.path.replace(previous)
            self.reporter.say(
                f"{self.stage}: starting afresh, the kept state does not fit ({listed}); it stays as {previous}"
            )
        return None

    def _fitting(self, path: Path) -> tuple[list[dict[str, Any]] | None, list[str]]:
        """States in a file if they fit; otherwise None, and what differs, which is nothing if there is no file."""
        if not path.is_file():
            return None, []
        try:
            run_id, states, fingerprint = read_state(path)
            changed = differences(fingerprint, self.fingerprint)
        except Interrupted:  # caused by a signal, not by the file
            raise
        except Exception as error:  # a damaged file may raise anything
            why = "it holds more than a state" if isinstance(error, UnpicklingError) else first_line(error)
            changed = [f"the state file cannot be read ({why})"]
        if changed:
            return None, changed
        self.reporter.resumed(run_id)
        return states, []

    def _exchange(self, previous: Path) -> None:
        """Put the previous state, which fits, in place of the last one, which becomes the previous one."""
        aside = self.path.with_name("aside.pt")
        if self.path.is_file():
            self.path.replace(aside)
        previous.replace(self.path)
        if aside.is_file():
            aside.replace(previous)

    def keep(self, state: Callable[[], dict[str, Any]], finished: bool = False) -> None:
        """Between batches: write the state if it is due, the stage is finished, or the run was asked to stop.

        Raises:
            Interrupted: a signal came; raised once the state is written.
            Stopped: the state cannot be written; the previous one stays.
        """
        due = finished or time.monotonic() - self._written >= self.config.checkpoint_seconds
        due, stop = distributed.any_process(due, self._stop is not None)
        if not due and not stop:
            return
        states = distributed.gather(state())
        if distributed.rank() == 0:
            self._write({"fingerprint": self.fingerprint, "run_id": self.reporter.run_id, "states": states})
        self._written = time.monotonic()
        if finished:  # a signal may have come while the last state was written
            (stop,) = distributed.any_process(self._stop is not None)
        if stop:
            raise self._interrupted("stopped by")

    def _interrupted(self, how: str) -> Interrupted:
        number = self._stop or signal.SIGTERM
        kept = resume_hint(self.config.resume_folder)
        return Interrupted(f"{self.stage} {how} {number.name}. {kept}", number)

    def _write(self, content: dict[str, Any]) -> None:
        try:
            write_atomically(self.path, lambda part: save_state(content, part))
        except OSError as error:
            raise Stopped(
                f"the state could not be written to '{self.path.parent}' ({reason(error)}); make room, or "
                "make it writable"
            ) from error

    def discard(self) -> None:
        """Delete the state once the stage's outputs are saved, so that the next run starts afresh."""
        self.path.unlink(missing_ok=True)

    @contextmanager
    def stopping_safely(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM wait for `keep`, and add to a `Stopped` error how to resume.

        A second signal stops a single process at once; with several processes it changes nothing.
        """
        try:
            with handling(self._on_signal):
                yield
                if self._stop is not None and distributed.size() == 1:
                    raise self._interrupted("stopped by")
        except Stopped as error:
            ending = resume_hint(self.config.resume_folder, afresh=isinstance(error, Diverged))
            raise Stopped(f"{self.stage}: {error}. {ending}") from error
        finally:
            self.reporter.end()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        again, self._stop = self._stop is not None, signal.Signals(number)
        if distributed.size() > 1:
            # The signal comes twice, from the terminal and the launcher, and maybe in the middle of a message.
            return
        if again:
            raise self._interrupted("stopped at once by a second signal,")
        self.reporter.say(f"{self.stage}: {self._stop.name} received, keeping the state ...")
