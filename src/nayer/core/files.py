"""Files that others read later: written whole or not at all, and named by what they hold."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from nayer.core.errors import InputError, Interrupted, first_line, within

MIN_FREE_BYTES = 100 * 2**20


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, flush it to disk, then put it in place in one step.

    Raises:
        OSError: it cannot be written, whatever the writing library calls that; what was at `path` is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.chmod(0o644)
        part.replace(path)
        flush_folder(path.parent)
    except RuntimeError as error:  # what torch makes of a full disk
        part.unlink(missing_ok=True)
        if cause := within(error, Interrupted, OSError):
            raise cause from None
        raise OSError(f"'{path}' could not be written ({first_line(error)})") from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sweep(path: Path) -> None:
    """Remove what killed processes left of writing `path`; only for who alone writes it."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        part.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Make a renamed file outlive a power cut: its name stands in the folder, which is flushed on its own."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # of file systems that flush no folders
            raise
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    """The sha256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_folders(files: Iterable[Path], key: str = "") -> None:
    """Refuse a run whose outputs could not be written: a read-only or full folder. Leaves nothing behind.

    Raises:
        InputError: names the folder, after the `key` that does.
    """
    for folder in sorted({file.absolute().parent for file in files}):
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        try:
            with tempfile.TemporaryFile(dir=nearest):
                free = shutil.disk_usage(nearest).free
        except OSError as error:
            raise InputError(
                f"{key}output folder '{folder}' cannot be written ({error.strerror}): make it writable, "
                "or run elsewhere."
            ) from error
        if free < MIN_FREE_BYTES:
            raise InputError(
                f"{key}output folder '{folder}' has {free / 2**20:.0f} MiB left, at least {MIN_FREE_BYTES // 2**20} "
                "are needed: make room, or run elsewhere."
            )
