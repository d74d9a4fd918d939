"""Formats numbers for people. `percent`, `points` and `decimal` write a missing or non-finite value as a dash."""

import math
from typing import Any

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NO-BREAK SPACE}"
TIMES = "\N{MULTIPLICATION SIGN}"


def percent(share: float | None) -> str:
    """A fraction in percent, with two decimals."""
    return f"{100 * share:.2f}{SPACE}%" if share is not None and math.isfinite(share) else NOTHING


def points(difference: float | None) -> str:
    """A difference of fractions in percentage points, always with a sign."""
    if difference is None or not math.isfinite(difference):
        return NOTHING
    return f"{100 * difference:+.2f}".replace("-", MINUS) if round(100 * difference, 2) else "±0.00"


def decimal(value: float | None) -> str:
    """A number with three significant digits."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}" if value else "0"


def count(value: Any) -> str:
    """An integer with thousands separators, a float by `decimal`, anything else as it is."""
    if isinstance(value, float):
        return decimal(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def compact(value: int) -> str:
    """A large count with a unit, such as 1.5 M."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if float(f"{value:.3g}") >= unit:  # after rounding: 999,600 is 1 M
            return f"{value / unit:.3g}{SPACE}{name}"
    return str(value)


def times(ratio: float) -> str:
    """A ratio as a factor, with a multiplication sign behind it."""
    return f"{ratio:.1f}{TIMES}" if ratio < 100 else f"{ratio:,.0f}{TIMES}"


def duration(seconds: float) -> str:
    """A time in seconds, minutes or hours, whichever reads best."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
