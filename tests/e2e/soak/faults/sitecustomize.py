"""Faults for a process that has this folder on its PYTHONPATH; Python imports it before anything else.

FAULT=WHAT:WHERE:NUMBER[:SECONDS]. At the NUMBERth atomically written file under a path that contains WHERE, WHAT
happens: a signal comes (SECONDS later, if given; else between the writing and the renaming), the disk is full (ENOSPC,
by a link to /dev/full), the file system is read-only (EROFS), or the flush fails (EIO). WRITES=FILE counts such files.
"""

import atexit
import errno
import os
import signal
import tempfile
import threading
from pathlib import Path

what, where, number, *seconds = os.environ.get("FAULT", "none:.resume:0").split(":")
target, written = int(number), []
mkstemp, fsync = tempfile.mkstemp, os.fsync


def failing(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def counting_mkstemp(*arguments, **options):
    if options.get("suffix") != ".part" or where not in str(options.get("dir")) + options.get("prefix", ""):
        return mkstemp(*arguments, **options)
    written.append(options["prefix"])
    due = len(written) == target
    if due and what == "EROFS":
        raise failing(errno.EROFS)
    handle, name = mkstemp(*arguments, **options)
    if due and what == "ENOSPC":
        os.unlink(name)
        os.symlink("/dev/full", name)
    if due and what.startswith("SIG") and seconds:
        threading.Timer(float(seconds[0]), os.kill, (os.getpid(), signal.Signals[what])).start()
    return handle, name


def faulty_fsync(handle):
    here = os.readlink(f"/proc/self/fd/{handle}")
    if len(written) == target and where in here and here.endswith(".part") and not seconds:
        if what == "EIO":
            raise failing(errno.EIO)
        if what.startswith("SIG"):
            os.kill(os.getpid(), signal.Signals[what])
    fsync(handle)


tempfile.mkstemp, os.fsync = counting_mkstemp, faulty_fsync
if "WRITES" in os.environ:
    atexit.register(lambda: Path(os.environ["WRITES"]).write_text(str(len(written))))
