"""Kedro datasets: the project's own file types, atomic writes of others, digests of files, and the reporter."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractDataset, DataCatalog
from kedro.utils import load_obj

from nayer.core.files import digest, write_atomically
from nayer.engine.progress import MultiReporter, Reporter, Terminal


class FileDataset(AbstractDataset[Any, Any]):
    """One file of the class `kind`, such as `nayer.models.classifier.Classifier`.

    The class has a method `save(path)` and a classmethod `load(path)`. If `optional`, a missing file loads as None.
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
    """A file of another Kedro dataset type, written whole or not at all.

    Args:
        filepath: path of the file.
        dataset: type and arguments of the other dataset, without its filepath.
        optional: whether a missing file loads as None.
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
        """Write to a temporary file beside it, then move that into place."""
        write_atomically(Path(self._filepath), lambda part: self.at(part).save(data))

    def _exists(self) -> bool:
        return Path(self._filepath).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, **self._dataset}


class DigestsDataset(AbstractDataset[Any, dict[str, str]]):
    """sha256 digests of files, by name."""

    def __init__(self, files: dict[str, str], metadata: dict[str, Any] | None = None) -> None:
        self._files = files
        self.metadata = metadata

    def load(self) -> dict[str, str]:
        """Digests of the files that exist."""
        return {name: digest(Path(file)) for name, file in self._files.items() if Path(file).is_file()}

    def save(self, data: Any) -> None:
        """Refuse to save: this dataset is for loading only."""
        raise TypeError("digests are for loading only")

    def _describe(self) -> dict[str, Any]:
        return {"files": self._files}


class ReporterDataset(AbstractDataset[Any, Reporter]):
    """Reporter for the progress of training loops: to the terminal, and to MLflow if a run is open.

    Args:
        interval: seconds between two progress lines if the output is not a terminal.
    """

    def __init__(self, interval: float, metadata: dict[str, Any] | None = None) -> None:
        self._interval = interval
        self.metadata = metadata

    def load(self) -> Reporter:
        """New reporter."""
        from nayer.mlops.tracking.progress import MlflowReporter  # MLflow is slow to import

        return MultiReporter(Terminal(self._interval), MlflowReporter())

    def save(self, data: Any) -> None:
        """Refuse to save: this dataset is for loading only."""
        raise TypeError("the reporter is for loading only")

    def _describe(self) -> dict[str, Any]:
        return {"interval": self._interval}


def files_of(catalog: DataCatalog, names: Iterable[str]) -> dict[str, Path]:
    """Paths of the files behind datasets, by name; parameters and datasets in memory have none."""
    found = {name: getattr(catalog.get(name), "_filepath", None) for name in names if name in catalog}
    return {name: Path(path) for name, path in found.items() if path is not None}
