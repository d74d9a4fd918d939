"""Files of a model on the Hugging Face hub: the newest with network, otherwise what the cache holds, and soon."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

# Per request, so that a machine without network gets its answer soon.
SECONDS = 10.0


def snapshot(model: str, files: Sequence[str], revision: str | None = None) -> Path:
    """Folder of one commit of the model, with the files of its root that match the patterns.

    One snapshot, not file by file as transformers and timm do it: those retry each file for 46 s where there is no
    network, and could mix two commits.

    Raises:
        OSError, ValueError: the model is neither on the hub nor in the cache.
    """
    hub: Any = import_module("huggingface_hub")
    return Path(
        hub.snapshot_download(
            model, revision=revision, etag_timeout=SECONDS, allow_patterns=list(files), ignore_patterns=["*/*"]
        )
    )
