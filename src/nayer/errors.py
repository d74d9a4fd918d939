"""Errors for people: one sentence with the key, the value and the way out."""

import difflib
import re
from collections.abc import Iterable

MOST_LISTED, LISTED = 20, 5
LONGEST_SHOWN = 200
CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")


class InputError(ValueError):
    """What a user handed in cannot be used; the message says what to change. Nothing was written."""


class Refused(Exception):
    """A student was not let through the gate; the message says which threshold, and by how much."""


class WorkerLost(Exception):
    """One of several processes that trained together died; the message says what was kept and how to go on."""


class Interrupted(Exception):
    """A run was asked to stop by a signal; the message says what was kept and how to go on."""

    def __init__(self, message: str, signal_number: int, stage: str = "") -> None:
        super().__init__(message)
        self.signal_number = signal_number
        self.stage = stage


def first_line(error: BaseException) -> str:
    """What a library's error says, short enough for a sentence of ours, and without a password in a URL."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
    return without_password(line)


def without_password(text: str) -> str:
    """The text with all addresses as they are without user and password."""
    return CREDENTIALS.sub("", text)


def shown(value: object) -> str:
    """A value as it stands in a sentence: short, and without user and password, also those of host:port."""
    beginning = repr(value)[: 10 * LONGEST_SHOWN]
    text = re.sub(r"[^\s/:@'\"]+:[^\s/@]+@", "", without_password(beginning))
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def unknown(key: str, value: str, choices: Iterable[str]) -> InputError:
    """The error for a name that is not among `choices`, with the nearest one suggested; of many, only those near."""
    names = sorted(choices)
    near = difflib.get_close_matches(value, names, n=LISTED, cutoff=0.5)
    value = value if len(value) <= LONGEST_SHOWN else f"{value[:LONGEST_SHOWN]}..."
    hint = f" Did you mean '{near[0]}'?" if near else ""
    if len(names) > MOST_LISTED:
        names = [*(near or names[:LISTED]), f"... ({len(names)} in all)"]
    return InputError(f"{key}: unknown value '{value}'.{hint} Choose one of: {', '.join(names)}.")
