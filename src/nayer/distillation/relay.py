"""Passes what the processes of a distillation report on to the reporter of the process that started them."""

import threading
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any, cast

from nayer.distillation.health import ELSEWHERE
from nayer.engine.progress import NullReporter, Reporter

POLL_SECONDS = 0.2


class Relay(threading.Thread):
    """Thread that passes messages of this machine's processes on to a reporter; each process has a pipe of its own."""

    def __init__(self, reporter: Reporter, processes: int) -> None:
        super().__init__(daemon=True)
        self.reporter = reporter
        pipes = [Pipe(duplex=False) for _ in range(processes)]
        self.readers, self.writers = ([pair[side] for pair in pipes] for side in (0, 1))
        self.over = threading.Event()
        self.refused: str | None = None
        self.gave_up: str | None = None
        self.stopped_by: int | None = None
        self.fault: Exception | None = None

    def run(self) -> None:
        """Pass messages on until the processes are over and everything they sent is read."""
        while (ready := wait(self.readers, POLL_SECONDS)) or not self.over.is_set():
            for reader in cast("list[Connection[Any, Any]]", ready):
                try:
                    name, arguments = reader.recv()
                except (EOFError, OSError):  # the process died, perhaps in the middle of a message
                    self.readers.remove(reader)
                else:
                    self.take(name, arguments)

    def take(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Handle one message: how a process ended, or a call of the reporter."""
        if name == "refused":
            self.refused = arguments[0]
        elif name == "gave up":
            # Keep the cause that came first, unless it only says that another process failed.
            if self.gave_up is None or ELSEWHERE in self.gave_up:
                self.gave_up = arguments[0]
        elif name == "stopped":
            self.stopped_by = arguments[0]
        elif self.fault is None:
            try:
                getattr(self.reporter, name)(*arguments)
            except Exception as error:  # raised at the end; until then the pipes must still be read
                self.fault = error

    def finish(self) -> None:
        """Wait for the last messages, then end the reporter, which the first process may have left open."""
        self.over.set()
        for writer in self.writers:
            writer.close()
        self.join()
        self.reporter.end()


class Messenger(NullReporter):
    """Reporter of the first process: sends every call to the process that started it."""

    def __init__(self, pipe: Connection, run_id: str) -> None:
        self.run_id = run_id
        for name in ("resumed", "say", "warn", "begin", "advance", "epoch", "end"):
            setattr(self, name, lambda *arguments, name=name: pipe.send((name, arguments)))
