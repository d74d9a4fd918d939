"""Two runs never mix their files: who writes a file holds it alone, who reads it holds it with other readers.

The system keeps these locks (flock) and drops them with the process, however it ends, so none is ever stale.
"""

import fcntl
import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

import psutil

from nayer.errors import InputError

LONGEST_COMMAND = 80
FOLDER = Path("data", ".locks")


def hold(written: Iterable[Path], read: Iterable[Path]) -> ExitStack:
    """Hold these files until the stack that comes back is closed, or the process ends.

    Raises:
        InputError: another run holds one of them; names it.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    alone = set(written)
    with ExitStack() as held:
        for path in sorted({*alone, *read}):
            lock = FOLDER / "_".join(path.parts)
            file = held.enter_context(lock.open("a"))
            try:
                fcntl.flock(file, (fcntl.LOCK_EX if path in alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"'{path}' is in use by {holder(lock)}; wait until that is done, stop it, or take another scenario."
                ) from None
        return held.pop_all()


def holder(lock: Path) -> str:
    """The run that has a lock file open, as far as this machine knows it."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and str(lock.absolute()) in {file.path for file in process.open_files()}:
                since = datetime.fromtimestamp(process.create_time()).astimezone()
                command = " ".join(" ".join(process.cmdline()).split())[-LONGEST_COMMAND:]
                return f"process {process.pid} ({command}), started {since:%H:%M:%S}"
    return "a run of another user or machine"
