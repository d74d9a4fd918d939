"""Locks between processes of one machine; the operating system releases them when a process ends, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nayer.engine.progress import Reporter


@contextmanager
def held(file: Path, waiting: str, reporter: Reporter) -> Iterator[None]:
    """Hold a lock, which one process at a time can; says `waiting` if it has to wait for another process."""
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
    """Take a lock if no other process holds it; yields whether it did, and holds it until the end."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        else:
            free = True
        yield free
