"""The queue of a study's runs (docs/decisions/013); on one machine: what the table lacks, with a lock for each run."""

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
    """Message about runs that neither wait nor are done."""

    def add(self, asked: Mapping[str, str]) -> None:
        """Append runs that are neither queued nor done; `asked` maps their keys to digests of what is asked for."""

    def take(self, wanted: Set[str], perform: Perform) -> bool:
        """Do the next of these runs; returns whether one waited. A run that is stopped or diverges waits again."""

    def running(self, wanted: Set[str]) -> list[str]:
        """Those of these runs that some process is working on."""

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """Results from other machines so far, by key."""

    def shared(self, name: str) -> dict[str, Any]:
        """Values that the machines of a store share under this name."""

    def share(self, name: str, value: Any) -> None:
        """Share a value under this name with all machines of the store."""

    def agreed(self, name: str, own: str) -> str:
        """Value that the first machine gave under this name; on the first machine, `own`."""


class LocalQueue:
    """The runs of one machine. It keeps no state: a run in the table is done, a locked one is under way."""

    elsewhere = "Under way in another process"

    def __init__(self, folder: Path, done: Callable[[], Set[str]]) -> None:
        self.folder, self.done = folder, done
        self.keys: list[str] = []

    def add(self, asked: Mapping[str, str]) -> None:
        """Append runs that are not queued yet."""
        self.keys += [key for key in asked if key not in self.keys]

    def take(self, wanted: Set[str], perform: Perform) -> bool:
        """Do the next of these runs that no other process is working on; `perform` must put it into the table."""
        done = self.done()
        for key in self.keys:
            if key not in wanted or key in done:
                continue
            with held_if_free(self.lock(key)) as free:
                if free and key not in self.done():  # another process may have finished it since
                    with suppress(Diverged):
                        perform(key)
                    return True
        return False

    def running(self, wanted: Set[str]) -> list[str]:
        """Those of these runs that another process is working on."""
        found = []
        for key in sorted(wanted - self.done()):
            with held_if_free(self.lock(key)) as free:
                found += [] if free else [key]
        return found

    def lock(self, key: str) -> Path:
        """Lock file held by the process that is working on a run."""
        return self.folder / f"{key}.lock"

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """None: there is no other machine."""
        return {}

    def shared(self, name: str) -> dict[str, Any]:
        """Nothing: the machine's own files hold it."""
        return {}

    def share(self, name: str, value: Any) -> None:
        """Do nothing: there is no other machine."""

    def agreed(self, name: str, own: str) -> str:
        """The machine's own value."""
        return own
