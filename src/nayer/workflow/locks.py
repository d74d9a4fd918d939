"""Locks that keep runs out of each other's files: a writer locks a file exclusively, readers share it.

The operating system drops these locks (flock) when the process ends, however it ends, so none is ever stale.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

import psutil

from nayer.core.errors import InputError, reason

MAX_COMMAND = 80
FOLDER = Path("data", ".locks")


def hold(written: Iterable[Path], read: Iterable[Path]) -> ExitStack:
    """Lock these files until the returned stack is closed or the process ends.

    Raises:
        InputError: another run has locked one of them, which the message names, or the folder of locks cannot hold any.
    """
    alone = {path.absolute() for path in written}
    with ExitStack() as held:
        for path in sorted(alone | {path.absolute() for path in read}):
            lock = lock_of(path)
            try:
                handle = opened(lock)
                held.callback(os.close, handle)
                fcntl.flock(handle, (fcntl.LOCK_EX if path in alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"'{path}' is in use by {holder(lock)}; wait for it to end, stop it, or use another scenario."
                ) from None
            except OSError as error:
                raise InputError(
                    f"'{FOLDER}' cannot hold the locks that keep runs out of each other's files ({reason(error)}); "
                    "make it writable, or a link to a folder on a disk that can lock."
                ) from error
        return held.pop_all()


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Let one run at a time do what is inside, while others wait."""
    handle = opened(lock_of(path))
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def lock_of(path: Path) -> Path:
    """Path of a file's lock; hashed, so that any path gives a valid name."""
    return FOLDER / hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]


def opened(lock: Path) -> int:
    """Descriptor of a lock file, open for reading and writing, as NFS requires; all users may write to it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    with suppress(PermissionError):
        os.fchmod(handle, 0o666)
    return handle


def holder(lock: Path) -> str:
    """Description of the run that has a lock file open, as far as this user can see it."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and str(lock.absolute()) in {file.path for file in process.open_files()}:
                since = datetime.fromtimestamp(process.create_time()).astimezone()
                command = " ".join(" ".join(process.cmdline()).split())[-MAX_COMMAND:]
                return f"process {process.pid} ({command}), started {since:%H:%M:%S}"
    return "another run, of another user or machine"
