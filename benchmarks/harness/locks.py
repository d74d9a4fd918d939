"""Locks between processes of one machine; the system drops them with the process, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nayer.engine.progress import Reporter


@contextmanager
def held(file: Path, waiting: str, reporter: Reporter) -> Iterator[None]:
    """For one process at a time; says so where it must wait."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reporter.say(waiting)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def held_if_free(file: Path) -> Iterator[bool]:
    """Whether no other process holds it; if so, none does until the end."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        else:
            free = True
        yield free
