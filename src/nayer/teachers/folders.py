"""The folder of a teacher's files: a local one, or a snapshot of a model on the hub."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nayer.core.errors import InputError, first_line
from nayer.core.hub import snapshot

CONFIG = "config.json"
# Bytes; no real configuration is larger.
MOST_JSON = 2**24


def folder_of(teacher: str, files: Sequence[str], key: str) -> Path:
    """The local folder that `library:folder` names, or that of a snapshot of the hub with these files.

    `library:owner/name` means the newest revision, `library:owner/name@revision` that one. A snapshot is fetched once,
    then taken from the cache.

    Raises:
        InputError: there is no such folder, and no such snapshot can be fetched.
    """
    name = teacher.partition(":")[2]
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or name.startswith((".", "/", "~")):
        raise InputError(f"{key}: '{teacher}' is not a folder; give one with {CONFIG}, or an id on the hub.")
    model, _, revision = name.partition("@")
    try:
        return snapshot(model, files, revision or None)
    except Exception as error:  # the hub's own errors, and those of the network
        raise InputError(
            f"{key}: '{teacher}' is not a folder here, and could not be fetched ({first_line(error)}); give "
            "this machine access once, or copy its folder here and give that."
        ) from error


def pinned(name: str, folder: Path) -> str:
    """A hub id with its snapshot's commit, so that it always means the same teacher; a local folder stays as it is."""
    return name if folder == Path(name).expanduser() else f"{name.partition('@')[0]}@{folder.name}"


def read_json(file: Path, key: str) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        InputError: the file is missing, too large or holds no JSON object.
    """
    try:
        if file.stat().st_size > MOST_JSON:
            raise ValueError(f"more than {MOST_JSON:,} bytes")
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{key}: '{file}' cannot be read ({first_line(error)}); save the model again.") from error
    if not isinstance(found, dict):
        raise InputError(f"{key}: '{file}' holds no JSON object; save the model again.")
    return found
