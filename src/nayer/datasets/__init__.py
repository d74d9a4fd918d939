"""Real data sets, for the teacher and the evaluation only. Nothing here ever downloads data."""

from nayer.datasets.base import ImageSet, RealData
from nayer.datasets.no_data import NONE
from nayer.datasets.sources import (
    channels,
    check,
    class_names,
    files,
    load,
    load_for,
    names_lie_in_files,
    normalisation,
    own_names,
)

__all__ = [
    "NONE",
    "ImageSet",
    "RealData",
    "channels",
    "check",
    "class_names",
    "files",
    "load",
    "load_for",
    "names_lie_in_files",
    "normalisation",
    "own_names",
]
