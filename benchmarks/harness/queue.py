"""The queue of a study's runs (docs/decisions/013): on one machine, what the table lacks, and a lock for each run."""

from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from harness.locks import held_if_free
from nayer.core.errors import Diverged

Perform = Callable[[str], dict[str, Any]]


class Queue(Protocol):
    """Runs by their keys: waiting, under way, or done with a result."""

    elsewhere: str
    """What may be the matter with runs that wait no longer and are not done."""

    def add(self, asked: Mapping[str, str]) -> None:
        """Put runs at the end, apart from those that are in it or done: by their keys, digests of what is asked for."""

    def take(self, wanted: Set[str], perform: Perform) -> bool:
        """Do the next of these runs, if one waits; one that is stopped or goes astray waits again."""

    def running(self, wanted: Set[str]) -> list[str]:
        """Of these runs, those that some process is at."""

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """What has come out so far on other machines."""

    def shared(self, name: str) -> dict[str, Any]:
        """What the machines of a store know together."""

    def share(self, name: str, value: Any) -> None:
        """For all machines of the store."""

    def agreed(self, name: str, own: str) -> str:
        """What the first machine said of something; of the first, its own."""


class LocalQueue:
    """The runs of one machine. It keeps nothing: what is in the table is done, what is locked is under way."""

    elsewhere = "Under way in another process"

    def __init__(self, folder: Path, done: Callable[[], Set[str]]) -> None:
        self.folder, self.done = folder, done
        self.keys: list[str] = []

    def add(self, asked: Mapping[str, str]) -> None:
        """Put runs at the end."""
        self.keys += [key for key in asked if key not in self.keys]

    def take(self, wanted: Set[str], perform: Perform) -> bool:
        """Do the next of these runs that no other process is at; `perform` sees to it that it is in the table then."""
        done = self.done()
        for key in self.keys:
            if key not in wanted or key in done:
                continue
            with held_if_free(self.lock(key)) as free:
                if free and key not in self.done():  # another process may have ended it since
                    with suppress(Diverged):
                        perform(key)
                    return True
        return False

    def running(self, wanted: Set[str]) -> list[str]:
        """Of these runs, those that another process is at."""
        found = []
        for key in sorted(wanted - self.done()):
            with held_if_free(self.lock(key)) as free:
                found += [] if free else [key]
        return found

    def lock(self, key: str) -> Path:
        """What the process that is at a run holds."""
        return self.folder / f"{key}.lock"

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """None: there is no other machine."""
        return {}

    def shared(self, name: str) -> dict[str, Any]:
        """Nothing: the files of the machine say it."""
        return {}

    def share(self, name: str, value: Any) -> None:
        """With nobody."""

    def agreed(self, name: str, own: str) -> str:
        """Its own."""
        return own
