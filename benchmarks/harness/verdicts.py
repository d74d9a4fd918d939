"""What the table of a study says about a claim: differences at equal time, and time to equal accuracy."""

from dataclasses import dataclass
from math import nan, sqrt
from typing import Literal

import pandas as pd
from scipy import stats

from harness.table import END

# Published five-seed deviations reach 0.2 points: less is noise, whatever few seeds say.
NOISE = 0.3
LEVEL = 0.95
Word = Literal["for the paper", "against the paper", "no difference shown", "one seed", "not run"]


@dataclass(frozen=True)
class Verdict:
    """Accuracy of `better`, as the paper has it, less that of `worse`, in points; paired by seed."""

    mean: float
    deviation: float
    interval: float
    """Half of the 95 % interval of the mean (Student's t); infinite of one seed."""
    n: int

    def word(self, expected: int = 1) -> Word:
        """What that says, where the paper has `better` above (1), as good as (0) or below (-1) `worse`."""
        if not self.n:
            return "not run"
        if self.n == 1:
            return "one seed"
        if abs(self.mean) <= max(NOISE, self.interval):
            return "no difference shown"
        return "for the paper" if self.mean * expected > 0 else "against the paper"

    def __str__(self) -> str:
        if not self.n:
            return "not run"
        spread = f" ({self.deviation:.2f})" if self.n > 1 else ""
        return f"{self.mean:+.2f}{spread}"


def by_seed(ends: pd.DataFrame, group: str, setting: str, minutes: float | None = None) -> pd.Series:
    """Accuracy in % by seed."""
    chosen = ends[(ends["group"] == group) & (ends["setting"] == setting)]
    if minutes is not None:
        chosen = chosen[chosen["minutes"] == minutes]
    return 100 * chosen.set_index("seed")[END].astype(float)


def with_deviation(found: pd.Series) -> str:
    """Mean and, of some seeds, deviation."""
    if found.empty:
        return "not run"
    return f"{found.mean():.2f}" + (f" ({found.std():.2f})" if len(found) > 1 else "")


def compare(better: pd.Series, worse: pd.Series) -> Verdict:
    """Two settings on the seeds that both have."""
    differences = (better - worse).dropna()
    n = len(differences)
    deviation = float(differences.std()) if n > 1 else nan
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * deviation / sqrt(n) if n > 1 else float("inf")
    return Verdict(float(differences.mean()) if n else nan, deviation, half, n)


def seconds_to_reach(rows: pd.DataFrame, run: str, accuracy: float) -> float:
    """Counted seconds until a run's curve first shows this accuracy, 0..1; NaN if never."""
    curve = rows[rows["run"] == run].sort_values("epoch")
    reached = curve[curve["validation_accuracy_2000"] >= accuracy]
    if reached.empty:
        return nan
    return float(reached.iloc[0]["counted_seconds"])


def time_to_equal(rows: pd.DataFrame, group: str, fast: str, slow: str, minutes: float) -> pd.DataFrame:
    """Seconds by seed: of `slow` for the accuracy its curve ends with, and of `fast` to reach that (NaN: never)."""
    chosen = rows[(rows["group"] == group) & (rows["minutes"] == minutes)]
    found = {}
    for seed, part in chosen.groupby("seed"):
        runs = {setting: part[part["setting"] == setting] for setting in (fast, slow)}
        if any(each.empty for each in runs.values()):
            continue
        last = runs[slow].sort_values("epoch").iloc[-1]
        name = str(runs[fast]["run"].iloc[0])
        reached = seconds_to_reach(rows, name, float(last["validation_accuracy_2000"]))
        found[seed] = {"slow": float(last["counted_seconds"]), "fast": reached}
    return pd.DataFrame.from_dict(found, orient="index", columns=["slow", "fast"], dtype=float)
