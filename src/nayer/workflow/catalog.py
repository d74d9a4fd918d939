"""Kedro datasets for the project's own files: anything with `save(path)` and a classmethod `load(path)`."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, DataCatalog
from kedro.utils import load_obj

from nayer.core.files import digest, write_atomically
from nayer.engine.progress import MultiReporter, Reporter, Terminal


class FileDataset(AbstractDataset[Any, Any]):
    """One file that `kind` knows how to read and write, for instance `nayer.models.classifier.Classifier`.

    One that is `optional` is None where it is not there.
    """

    def __init__(
        self, filepath: str, kind: str, optional: bool = False, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = PurePosixPath(filepath)
        self._kind = kind
        self._optional = optional
        self.metadata = metadata

    def load(self) -> Any:
        """Read the file."""
        if self._optional and not self._exists():
            return None
        return load_obj(self._kind).load(Path(self._filepath))

    def save(self, data: Any) -> None:
        """Write the file whole or not at all."""
        data.save(Path(self._filepath))

    def _exists(self) -> bool:
        return Path(self._filepath).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "kind": self._kind}


class AtomicDataset(AbstractDataset[Any, Any]):
    """A file of another kind of dataset, written whole or not at all.

    Args:
        filepath: where it lies.
        dataset: the other dataset's type and arguments, without its filepath.
        optional: whether it is None where the file is not there.
    """

    def __init__(
        self, filepath: str, dataset: dict[str, Any], optional: bool = False, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = PurePosixPath(filepath)
        self._dataset = dataset
        self._optional = optional
        self.metadata = metadata

    def at(self, path: Path) -> AbstractDataset[Any, Any]:
        """The other dataset, for a file at `path`."""
        return AbstractDataset.from_config(self._filepath.name, {**self._dataset, "filepath": str(path.absolute())})

    def load(self) -> Any:
        """Read the file."""
        return None if self._optional and not self._exists() else self.at(Path(self._filepath)).load()

    def save(self, data: Any) -> None:
        """Write a file beside it, then put that in its place."""
        write_atomically(Path(self._filepath), lambda part: self.at(part).save(data))

    def _exists(self) -> bool:
        return Path(self._filepath).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, **self._dataset}


class DigestsDataset(AbstractDataset[Any, dict[str, str]]):
    """The sha256 of files, by name."""

    def __init__(self, files: dict[str, str], metadata: dict[str, Any] | None = None) -> None:
        self._files = files
        self.metadata = metadata

    def load(self) -> dict[str, str]:
        """Digests of the files that are there."""
        return {name: digest(Path(file)) for name, file in self._files.items() if Path(file).is_file()}

    def save(self, data: Any) -> None:
        """Nothing can be saved here."""
        raise TypeError("digests are for loading only")

    def _describe(self) -> dict[str, Any]:
        return {"files": self._files}


class ReporterDataset(AbstractDataset[Any, Reporter]):
    """Who a loop reports to: the terminal, and MLflow where a run is open.

    Args:
        interval: seconds between two progress lines where there is no terminal.
    """

    def __init__(self, interval: float, metadata: dict[str, Any] | None = None) -> None:
        self._interval = interval
        self.metadata = metadata

    def load(self) -> Reporter:
        """A fresh reporter."""
        from nayer.mlops.tracking.progress import MlflowReporter  # MLflow is slow to import

        return MultiReporter(Terminal(self._interval), MlflowReporter())

    def save(self, data: Any) -> None:
        """Nothing can be saved here."""
        raise TypeError("the reporter is for loading only")

    def _describe(self) -> dict[str, Any]:
        return {"interval": self._interval}


def files_of(catalog: DataCatalog, names: Iterable[str]) -> dict[str, Path]:
    """The files behind datasets, by name; parameters and what lives in memory have none."""
    found = {name: getattr(catalog.get(name), "_filepath", None) for name in names if name in catalog}
    return {name: Path(path) for name, path in found.items() if path is not None}
