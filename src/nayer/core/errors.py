"""Errors for users: one sentence with the key, the value and the remedy; and helpers to write them."""

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydantic import ValidationError
from pydantic_core import ErrorDetails

MAX_LISTED, LISTED = 20, 5
MAX_SHOWN = 200
CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
# Control characters, changes of text direction and lone surrogates, which texts in untrusted files may contain.
UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
MAX_LINE = 2000
# Parts of a pydantic location that are not keys: function-after[check(), ...], constrained-str, a model's name.
TRIED = re.compile(r"[\w-]+\[.*|(constrained|lax|function|list)-\w+$|[A-Z]\w*$")


class InputError(ValueError):
    """The user's input cannot be used; the message says what to change. Nothing was written."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class Refused(Exception):
    """A student failed the gate; the message says which threshold it missed, and by how much."""


class Stopped(Exception):
    """A run could not go on; the message says why, what was kept, and how to resume."""


class Diverged(Stopped):
    """A training diverged, and would do so again with the same values."""


class Interrupted(Exception):
    """A run was asked to stop by a signal; the message says what was kept and how to resume."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


def printable(text: str) -> str:
    """A text made safe for the terminal, as it may quote any file; lines that are too long keep only both ends."""
    half = MAX_LINE // 2
    lines = UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text).split("\n")
    return "\n".join(line if len(line) <= MAX_LINE else f"{line[:half]} … {line[-half:]}" for line in lines)


def is_printable(text: str) -> bool:
    """Whether a text can be shown unchanged within a line."""
    return "\n" not in text and printable(text) == text


def first_mistake(error: ValidationError) -> str:
    """A sentence about the first mistake that pydantic found, with its key and value."""
    return mistake(error.errors()[0])


def mistake(found: ErrorDetails) -> str:
    """A sentence about one mistake that pydantic found, with its key and value."""
    # For a value of several possible types, pydantic lists the type that it tried among the keys.
    keys = [str(part) for part in found["loc"] if not TRIED.match(str(part))]
    return f"{'.'.join(keys[:4])}: {shown(found['input'])} is refused. {found['msg']}"


def first_line(error: BaseException) -> str:
    """First line of a library's error, to quote in a sentence, without passwords in URLs."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".:")
    return without_password(line)


def without_password(text: str) -> str:
    """The text without the user and password of any URL in it."""
    return CREDENTIALS.sub("", text)


def shown(value: object) -> str:
    """A value to show in a sentence: shortened, and without user and password, also before a host without a scheme."""
    beginning = repr(value)[: 10 * MAX_SHOWN]
    text = re.sub(r"[^\s/:@'\"]+:[^\s/@]+@", "", without_password(beginning))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def within(error: BaseException, *kinds: type[BaseException]) -> BaseException | None:
    """First exception of these kinds among an error and its causes: Kedro wraps errors that occur while it saves."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, kinds):
        found = found.__cause__ or found.__context__
    return found


def reason(error: OSError) -> str:
    """The system's message on why a file could not be written or read."""
    return error.strerror or first_line(error)


@contextmanager
def refusable() -> Iterator[None]:
    """Ignore an InputError raised inside, as there is another way to go on; one caused by a signal is raised."""
    try:
        yield
    except InputError as error:
        if within(error, Interrupted):
            raise


def unknown(key: str, value: str, choices: Iterable[str]) -> InputError:
    """Error for a name that is not among `choices`: suggests the nearest, and lists all or, if many, the near ones."""
    names = sorted(choices)
    near = difflib.get_close_matches(value, names, n=LISTED, cutoff=0.5)
    value = value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}..."
    hint = f" Did you mean '{near[0]}'?" if near else ""
    if len(names) > MAX_LISTED:
        names = [*(near or names[:LISTED]), f"... ({len(names)} in all)"]
    return InputError(f"{key}: unknown value '{value}'.{hint} Choose one of: {', '.join(names)}.")
