"""Handles SIGINT and SIGTERM for the duration of a block; the only place that sets signal handlers."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], None]


@contextmanager
def handling(handler: Handler | None = None) -> Iterator[Mapping[int, Any]]:
    """Handle the signals by `handler` inside the block and restore the old handlers after it; yields the old handlers.

    Without a handler, handlers set inside the block are undone after it. Outside the main thread, which alone may set
    handlers, it does nothing.
    """
    main = threading.current_thread() is threading.main_thread()
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS} if main else {}
    if handler:
        for number in before:
            signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
