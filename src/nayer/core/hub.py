"""Fetches a model's files from the Hugging Face hub, or quickly falls back to the cache without a network.

Also silences transformers, which reads these files.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

# Timeout of a request, short, so that a machine without network soon falls back to the cache.
SECONDS = 10.0


def snapshot(model: str, files: Sequence[str], revision: str | None = None) -> Path:
    """Folder with one commit of the model: those files of its root that match the patterns.

    One snapshot, not file by file as transformers and timm do it: they retry each file for 46 s without a network, and
    could mix two commits.

    Raises:
        OSError, ValueError: the model is neither on the hub nor in the cache.
    """
    hub: Any = import_module("huggingface_hub")
    return Path(
        hub.snapshot_download(
            model, revision=revision, etag_timeout=SECONDS, allow_patterns=list(files), ignore_patterns=["*/*"]
        )
    )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' loading bars, reports and notes about unused weights inside the block."""
    logging: Any = import_module("transformers.utils.logging")
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.ERROR)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
