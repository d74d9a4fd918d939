"""Shared by tests of several processes: settings of a few steps, a reporter that remembers, and helpers."""

import psutil

from nayer.engine.progress import NullReporter

FIRST_STEPS = {
    "epochs": 5,
    "probe_images": 1,
    "synthesis__batch_size": 24,
    "synthesis__batches": 1,
    "synthesis__warmup_batches": 1,
    "synthesis__steps": 1,
    "student__steps": 1,
    "student__batch_size": 24,
}


class Heard(NullReporter):
    """Remembers all messages, and calls a function at the first step."""

    def __init__(self, at_first_step=lambda: None) -> None:
        self.said: list[str] = []
        self.at_first_step = at_first_step

    def say(self, text: str) -> None:
        self.said.append(text)

    def advance(self, done: float, text: str) -> None:
        self.at_first_step()
        self.at_first_step = lambda: None


def children() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [each for each in found if "spawn_main" in " ".join(each.cmdline())]


def figures(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if isinstance(value, float)}
