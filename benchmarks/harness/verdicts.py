"""What the table of a study says about a claim: differences at equal time, and time to equal accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan, sqrt
from typing import Literal

import pandas as pd
from scipy import stats

from harness.table import END

# Points up to which a difference counts as noise, whatever few seeds say: published five-seed deviations reach 0.2.
NOISE = 0.3
LEVEL = 0.95
# Points by which settings that are called about as good may differ.
MARGIN = 1.0
Expected = Literal["above", "about as good", "at least as good", "below"]
Word = Literal["for the paper", "against the paper", "undecided", "one seed", "not run"]


@dataclass(frozen=True)
class Verdict:
    """Accuracy of one setting minus that of another, in points; paired by seed."""

    mean: float
    deviation: float
    interval: float
    """Half of the 95 % interval of the mean (Student's t); infinite for one seed."""
    n: int
    unpaired: tuple[float, float] | None = None
    """The 95 % interval of the difference if equal seeds were independent runs (Welch); None for one seed."""

    def word(self, expected: Expected = "above") -> Word:
        """What that says of the paper, which expects the first setting to be `expected` compared with the other."""
        return self.word_of((self.mean - self.interval, self.mean + self.interval), expected)

    def word_unpaired(self, expected: Expected = "above") -> Word:
        """The same by the unpaired interval."""
        return self.word_of(self.unpaired or (nan, nan), expected)

    def word_of(self, interval: tuple[float, float], expected: Expected) -> Word:
        """The same by an interval of the mean."""
        if self.n < 2:
            return "one seed" if self.n else "not run"
        low, high = interval
        shown = abs(self.mean) > NOISE and low * high > 0
        holds, fails = {
            "above": (shown and self.mean > 0, shown and self.mean < 0),
            "below": (shown and self.mean < 0, shown and self.mean > 0),
            "about as good": (max(-low, high) <= MARGIN, max(low, -high) > MARGIN),
            "at least as good": (low >= -NOISE, high < -NOISE),
        }[expected]
        return "for the paper" if holds else "against the paper" if fails else "undecided"

    @property
    def range(self) -> str:
        """The 95 % interval of the mean, which says more than a deviation of few seeds; empty for one seed."""
        return spelt((self.mean - self.interval, self.mean + self.interval)) if self.n > 1 else ""

    @property
    def range_unpaired(self) -> str:
        """The unpaired 95 % interval; empty for one seed."""
        return spelt(self.unpaired) if self.unpaired else ""

    @property
    def p(self) -> float:
        """Two-sided p-value of no difference (Student's t); NaN for one seed."""
        if self.n < 2:
            return nan
        error = self.deviation / sqrt(self.n)
        return float(2 * stats.t.sf(abs(self.mean) / error, self.n - 1)) if error else 0.0

    def __str__(self) -> str:
        if not self.n:
            return "not run"
        spread = f" ({self.deviation:.2f})" if self.n > 1 else ""
        return f"{self.mean:+.2f}{spread}"


def spelt(interval: tuple[float, float], digits: int = 1) -> str:
    """An interval as text."""
    return f"[{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def by_seed(ends: pd.DataFrame, group: str, setting: str, minutes: float | None = None) -> pd.Series:
    """Accuracy in % by seed."""
    chosen = ends[(ends["group"] == group) & (ends["setting"] == setting)]
    if minutes is not None:
        chosen = chosen[chosen["minutes"] == minutes]
    return 100 * chosen.set_index("seed")[END].astype(float)


def with_deviation(found: pd.Series) -> str:
    """Mean and, of several seeds, deviation, as text."""
    if found.empty:
        return "not run"
    return f"{found.mean():.2f}" + (f" ({found.std():.2f})" if len(found) > 1 else "")


def compare(one: pd.Series, other: pd.Series) -> Verdict:
    """Compare two settings on the seeds that both have."""
    found = of_seeds(one - other)
    if found.n < 2:
        return found
    both = one.index.intersection(other.index)
    apart = stats.ttest_ind(one[both], other[both], equal_var=False).confidence_interval(LEVEL)
    return replace(found, unpaired=(float(apart.low), float(apart.high)))


def effect_of_seeds(found: pd.DataFrame) -> tuple[float, float]:
    """F and p of the hypothesis that seeds (columns) have no effect common to all settings (rows).

    Two-way layout without replication: F is the variance between seeds by that of what seeds and settings leave.
    """
    settings, seeds = found.shape
    seed = found.mean() - found.to_numpy().mean()
    rest = found.sub(found.mean(axis=1), axis=0).sub(seed)
    free = (settings - 1) * (seeds - 1)
    f = (settings * (seed**2).sum() / (seeds - 1)) / ((rest**2).to_numpy().sum() / free)
    return float(f), float(stats.f.sf(f, seeds - 1, free))


def of_seeds(found: pd.Series) -> Verdict:
    """Mean, deviation and interval of a figure by seed; NaNs are left out."""
    found = found.dropna()
    n = len(found)
    deviation = float(found.std()) if n > 1 else nan
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * deviation / sqrt(n) if n > 1 else float("inf")
    return Verdict(float(found.mean()) if n else nan, deviation, half, n)


def adjusted(found: Sequence[Verdict]) -> list[float]:
    """p-values adjusted for their number: of those under 0.05, 1 in 20 is expected to be false (Benjamini-Hochberg).

    NaN for a verdict of one seed, which does not count.
    """
    values = pd.Series([each.p for each in found], dtype=float)
    told = values.dropna()
    values[told.index] = stats.false_discovery_control(told) if len(told) else told
    return values.tolist()


def seconds_to_reach(curve: pd.DataFrame, accuracy: float) -> float:
    """Counted seconds until a run's curve first shows this accuracy, 0..1; NaN if never."""
    curve = curve.sort_values("epoch")
    reached = curve[curve["validation_accuracy_2000"] >= accuracy]
    return nan if reached.empty else float(reached["counted_seconds"].iloc[0])


def time_to_equal(rows: pd.DataFrame, group: str, fast: str, slow: str, minutes: float) -> pd.DataFrame:
    """Seconds by seed until each setting first shows the accuracy that the curve of `slow` ends with (NaN: never)."""
    chosen = rows[(rows["group"] == group) & (rows["minutes"] == minutes)]
    found = {}
    for seed, part in chosen.groupby("seed"):
        runs = {name: part[part["setting"] == setting] for name, setting in (("slow", slow), ("fast", fast))}
        if any(each.empty for each in runs.values()):
            continue
        wanted = float(runs["slow"].sort_values("epoch")["validation_accuracy_2000"].iloc[-1])
        found[seed] = {name: seconds_to_reach(each, wanted) for name, each in runs.items()}
    return pd.DataFrame.from_dict(found, orient="index", columns=["slow", "fast"], dtype=float)
