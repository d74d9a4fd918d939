"""Writes files completely or not at all, computes their digests, and checks output folders."""

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
        OSError: it cannot be written, also if the library raises another error; a file at `path` is left as it was.
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
    except RuntimeError as error:  # torch's error on a full disk
        part.unlink(missing_ok=True)
        if cause := within(error, Interrupted, OSError):
            raise cause from None
        raise OSError(f"'{path}' could not be written ({first_line(error)})") from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sweep(path: Path) -> None:
    """Remove temporary files that killed processes left when writing `path`; only for its sole writer."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        part.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Flush a folder to disk, so that a file renamed in it survives a power cut: the folder stores the name."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot flush folders
            raise
    finally:
        os.close(handle)


def digest(path: Path) -> str:
    """sha256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_folders(files: Iterable[Path], key: str = "") -> None:
    """Refuse a run whose output folders are read-only or full. Leaves nothing behind.

    Raises:
        InputError: a folder cannot be used; names it, after `key` as the prefix of the message.
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
