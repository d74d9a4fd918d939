"""Match the class names that a user gives with the classes of a data set."""

import re
from collections.abc import Sequence

from nayer.core.errors import InputError


def places(given: Sequence[str], own: Sequence[str], dataset: str) -> list[int]:
    """For every class of a data set, its index among the given names, which are as many.

    If the given names are the data set's own in any order, they are matched by name. Otherwise they are taken as other
    words for the same classes, in the data set's order.

    Raises:
        InputError: only some names are the data set's own, and one of these stands at the place of another class.
    """
    same = folded if len({folded(name) for name in own}) == len(own) else str
    told, known = [same(name) for name in given], [same(name) for name in own]
    if set(told) == set(known):
        return [told.index(name) for name in known]
    for place, name in enumerate(told):
        if name in known and known.index(name) != place:
            raise InputError(
                f"data.class_names: '{given[place]}' is class {place} (from 0), but class {known.index(name)} of "
                f"'{dataset}', and not all names are from that set, so they cannot be matched; give its names in the "
                "order of the teacher's classes, or only names that it does not have."
            )
    return list(range(len(own)))


def folded(name: str) -> str:
    """The name without case, spaces, underscores and hyphens, so that `Ankle_Boot` equals `ankle boot`."""
    return re.sub(r"[\s_-]+", "", name).casefold()
