"""Class names of a teacher, compared with those of a data set that names its classes itself."""

from collections.abc import Sequence

from nayer import datasets
from nayer.core.errors import LISTED, MAX_LISTED, InputError
from nayer.datasets.config import DataConfig
from nayer.datasets.naming import folded
from nayer.scenarios.options import TeacherOptions


def note_on_names(options: TeacherOptions, data: DataConfig) -> str | None:
    """Note for the user if the teacher's classes are assumed to be in the order of the data set; None otherwise.

    Raises:
        InputError: the teacher's own names and the data set's have none in common, and the user gave no others.
    """
    own = datasets.own_names(data)
    if own is None or data.dataset == "test_folder":  # its folders must be named like the classes
        return None
    if data.class_names is None:
        return f"The teacher names no classes, so those of '{data.dataset}' are taken, in its order: {listed(own)}."
    names = datasets.class_names(data)
    told, known = {folded(name) for name in names}, {folded(name) for name in own}
    if told == known:
        return None
    if not options.class_names and told.isdisjoint(known):
        raise InputError(
            f"CLASS_NAMES: '{options.teacher}' calls its classes {listed(names)}, none of them in "
            f"'{data.dataset}' ({listed(own)}); give a text file that names them, one per line, in the teacher's order."
        )
    return f"The teacher's classes are taken to be in the order of '{data.dataset}': {listed(own)}."


def listed(names: Sequence[str]) -> str:
    """Names as one text; of many, only the first."""
    return ", ".join(names if len(names) <= MAX_LISTED else [*names[:LISTED], f"... ({len(names)} in all)"])
