"""Progress reports of long loops: a bar on a terminal, one line per interval elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Reporter(Protocol):
    """Interface that a loop reports its progress to. Calls are cheap and must not make the loop fail."""

    run_id: str
    """Id of the tracked run that this work belongs to; empty if nothing tracks it."""

    def resumed(self, run_id: str) -> None:
        """The loop resumes from a state that the run `run_id` left."""
        ...

    def say(self, text: str) -> None:
        """One sentence for the user."""
        ...

    def warn(self, text: str) -> None:
        """One sentence about a problem that does not stop the loop."""
        ...

    def begin(self, stage: str, total: float, done: float) -> None:
        """A stage of `total` epochs starts, of which `done` were finished before (after a resume)."""
        ...

    def advance(self, done: float, text: str) -> None:
        """`done` epochs of the stage are finished; `text` holds the newest values."""
        ...

    def epoch(self, stage: str, epoch: int, values: Mapping[str, float]) -> None:
        """The figures of a finished epoch."""
        ...

    def end(self) -> None:
        """The stage is over, whether it succeeded or not."""
        ...


class NullReporter:
    """Reporter that does nothing, and the base of reporters that handle only some of the calls."""

    run_id = ""

    def resumed(self, run_id: str) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def warn(self, text: str) -> None:
        """Say the sentence, marked as a warning."""
        self.say(f"Warning: {text}")

    def begin(self, stage: str, total: float, done: float) -> None:
        """Nothing."""

    def advance(self, done: float, text: str) -> None:
        """Nothing."""

    def epoch(self, stage: str, epoch: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


class MultiReporter:
    """Passes every report on to each of `reporters`."""

    def __init__(self, *reporters: Reporter) -> None:
        self.reporters = reporters
        self.run_id = next((reporter.run_id for reporter in reporters if reporter.run_id), "")

    def resumed(self, run_id: str) -> None:
        """To all."""
        for reporter in self.reporters:
            reporter.resumed(run_id)

    def say(self, text: str) -> None:
        """To all."""
        for reporter in self.reporters:
            reporter.say(text)

    def warn(self, text: str) -> None:
        """To all."""
        for reporter in self.reporters:
            reporter.warn(text)

    def begin(self, stage: str, total: float, done: float) -> None:
        """To all."""
        for reporter in self.reporters:
            reporter.begin(stage, total, done)

    def advance(self, done: float, text: str) -> None:
        """To all."""
        for reporter in self.reporters:
            reporter.advance(done, text)

    def epoch(self, stage: str, epoch: int, values: Mapping[str, float]) -> None:
        """To all."""
        for reporter in self.reporters:
            reporter.epoch(stage, epoch, values)

    def end(self) -> None:
        """To all."""
        for reporter in self.reporters:
            reporter.end()


class Terminal(NullReporter):
    """A rich bar where `stream` is a terminal, else one plain line every `interval` seconds."""

    def __init__(self, interval: float, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.console = Console(file=self.stream)
        self.interval = interval
        self.bar: Progress | None = None
        self.task = TaskID(0)

    def say(self, text: str) -> None:
        """Print the sentence, above the bar if there is one."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begin(self, stage: str, total: float, done: float) -> None:
        """Show an empty bar, or remember when the stage began."""
        self.stage, self.total = stage, total
        self.began, self.began_at = time.monotonic(), done
        self.last_line = self.began
        if self.console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[rate]}"),
                TextColumn("{task.fields[values]}"),
            )
            self.bar = Progress(*columns, console=self.console)
            self.bar.start()
            self.task = self.bar.add_task(stage, total=total, completed=int(done), rate="", values="")

    def advance(self, done: float, text: str) -> None:
        """Move the bar, or print a line when the interval has passed."""
        now = time.monotonic()
        rate = (done - self.began_at) / max(now - self.began, 1e-9)
        speed = f"{60 * rate:.3g} epochs/min"
        if self.bar:
            self.bar.update(self.task, completed=done, rate=speed, values=text)
        elif now - self.last_line >= self.interval and done < self.total:
            self.last_line = now
            left = f"{(self.total - done) / rate:.0f} s left" if rate > 0 else "time left unknown"
            values = f"{text}, " if text else ""
            self.say(f"{self.stage}: {100 * done / self.total:.0f} %, {values}{speed}, {left}")

    def end(self) -> None:
        """Remove the bar."""
        if self.bar:
            self.bar.stop()
            self.bar = None
