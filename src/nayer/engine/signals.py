"""The one way in which signals are handled: SIGINT and SIGTERM, for as long as a block runs."""

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
    """Handle the signals by `handler` inside of the block, and afterwards as before; gives what handled them before.

    Without a handler they are only put back. Elsewhere than in the main thread, which alone may, nothing is set.
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
