"""No real data at all: enough for everything but training a teacher; evaluation then uses synthetic images."""

from pathlib import Path
from typing import NoReturn

from nayer.core.errors import InputError
from nayer.datasets.base import RealData
from nayer.datasets.config import DataConfig

NONE = "none"


class NoData:
    """The source for `data.dataset: none`."""

    def channels(self, config: DataConfig) -> None:
        """None, as there are no images."""

    def files(self, config: DataConfig) -> Path | None:
        """None, as there are no files."""
        return None

    def class_names(self, config: DataConfig) -> NoReturn:
        """Raise InputError: there is nothing to take names from."""
        raise InputError(
            "data.class_names: null, and data.dataset is 'none'; list the names in the order of the teacher's classes, "
            "or give a text file with one per line."
        )

    def check(self, config: DataConfig) -> NoReturn:
        """Raise InputError: a check is only made where real images are needed."""
        raise InputError(
            "data.dataset: 'none', but a teacher is to be trained, which needs real images; name a data set, for "
            "instance image_folder with data.folder, or set teacher.source: file."
        )

    def load(self, config: DataConfig, class_names: tuple[str, ...]) -> RealData:
        """Raise InputError, as `check` does."""
        self.check(config)
