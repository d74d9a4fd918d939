"""Which class of a data set is meant by which of the names that somebody gives its classes."""

import re
from collections.abc import Sequence

from nayer.core.errors import InputError


def places(given: Sequence[str], own: Sequence[str], dataset: str) -> list[int]:
    """Where every class of a data set stands among as many given names.

    They are matched by name if they are the data set's own in whatever order, and otherwise taken to be in its order:
    other words for the same classes.

    Raises:
        InputError: one of them is that of another class, which is neither.
    """
    same = folded if len({folded(name) for name in own}) == len(own) else str
    told, known = [same(name) for name in given], [same(name) for name in own]
    if set(told) == set(known):
        return [told.index(name) for name in known]
    for place, name in enumerate(told):
        if name in known and known.index(name) != place:
            raise InputError(
                f"data.class_names: '{given[place]}' is class {place} (from 0), but class {known.index(name)} of "
                f"'{dataset}', and not all names are that set's, so it cannot be told which class is which; give its "
                "names in the order of the teacher's classes, or words that are none of them."
            )
    return list(range(len(own)))


def folded(name: str) -> str:
    """The name as a person reads it: `Ankle_Boot` is `ankle boot`."""
    return re.sub(r"[\s_-]+", "", name).casefold()
