"""Errors for people: one sentence with the key, the value and the way out."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydantic import ValidationError
from pydantic_core import ErrorDetails

MAX_LISTED, LISTED = 20, 5
MAX_SHOWN = 200
CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
# What moves a terminal's cursor, turns text around or is half a character, as the texts in a stranger's file may.
UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
MAX_LINE = 2000
# function-after[check(), ...], constrained-str, a model's name: no keys.
TRIED = re.compile(r"[\w-]+\[.*|(constrained|lax|function|list)-\w+$|[A-Z]\w*$")


class InputError(ValueError):
    """What a user handed in cannot be used; the message says what to change. Nothing was written."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class Refused(Exception):
    """A student was not let through the gate; the message says which threshold, and by how much."""


class Stopped(Exception):
    """A run could not go on by itself; the message says why, what was kept, and how to go on."""


class Diverged(Stopped):
    """A training went astray: with the same values it would again."""


class Interrupted(Exception):
    """A run was asked to stop by a signal; the message says what was kept and how to go on."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


def printable(text: str) -> str:
    """A text for the terminal, whatever file it quotes; of a line that is too long, both ends."""
    half = MAX_LINE // 2
    lines = UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text).split("\n")
    return "\n".join(line if len(line) <= MAX_LINE else f"{line[:half]} … {line[-half:]}" for line in lines)


def is_printable(text: str) -> bool:
    """Whether a text can stand in a line as it is."""
    return "\n" not in text and printable(text) == text


def first_mistake(error: ValidationError) -> str:
    """The first of what pydantic found, with its key and value."""
    return mistake(error.errors()[0])


def mistake(found: ErrorDetails) -> str:
    """One of them, with its key and value."""
    # Of several kinds that a value may have, pydantic names the one that it tried among the keys.
    keys = [str(part) for part in found["loc"] if not TRIED.match(str(part))]
    return f"{'.'.join(keys[:4])}: {shown(found['input'])} is refused. {found['msg']}"


def first_line(error: BaseException) -> str:
    """What a library's error says, short enough for a sentence of ours, and without a password in a URL."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
    return without_password(line)


def without_password(text: str) -> str:
    """The text with all addresses as they are without user and password."""
    return CREDENTIALS.sub("", text)


def shown(value: object) -> str:
    """A value as it stands in a sentence: short, and without user and password, also those of host:port."""
    beginning = repr(value)[: 10 * MAX_SHOWN]
    text = re.sub(r"[^\s/:@'\"]+:[^\s/@]+@", "", without_password(beginning))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def within(error: BaseException, *kinds: type[BaseException]) -> BaseException | None:
    """The first of these kinds in an error and in what it came from: Kedro wraps what happens while it saves a file."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, kinds):
        found = found.__cause__ or found.__context__
    return found


def reason(error: OSError) -> str:
    """Why a file could not be written or read, in the system's words."""
    return error.strerror or first_line(error)


@contextmanager
def refusable() -> Iterator[None]:
    """What is refused in here is passed over, as there is another way; a signal is not."""
    try:
        yield
    except InputError as error:
        if within(error, Interrupted):
            raise


def unknown(key: str, value: str, choices: Iterable[str]) -> InputError:
    """The error for a name that is not among `choices`, with the nearest one suggested; of many, only those near."""
    names = sorted(choices)
    near = difflib.get_close_matches(value, names, n=LISTED, cutoff=0.5)
    value = value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}..."
    hint = f" Did you mean '{near[0]}'?" if near else ""
    if len(names) > MAX_LISTED:
        names = [*(near or names[:LISTED]), f"... ({len(names)} in all)"]
    return InputError(f"{key}: unknown value '{value}'.{hint} Choose one of: {', '.join(names)}.")
