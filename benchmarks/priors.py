"""Makes docs/results/priors.md and its figures from the table of the study of priors.

python benchmarks/priors.py
"""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
from harness.bench import TEACHERS
from harness.charts import dots
from harness.scenario import PROJECT
from harness.templates import StudyPage, fill
from harness.verdicts import MARGIN, by_seed, compare, with_deviation

FILE = PROJECT / "benchmarks" / "studies" / "priors.yml"
PAGE = PROJECT / "docs" / "results" / "priors.md"
# For each group of a teacher without BatchNorm, that of one with it whose student is the same, or its own half.
BESIDE = {
    "convnext": "batchnorm",
    "convnext_half": "batchnorm_half",
    "vit": "batchnorm",
    "vit_half": "batchnorm_half",
    "cifar10_convnext": "cifar10_batchnorm",
    "cifar10_convnext_half": "cifar10_batchnorm_half",
    "cifar10_swin": "cifar10_batchnorm",
    "cifar10_swin_half": "cifar10_batchnorm_half",
}
HALF = "_half"
# The setting that MINUTES= takes for a teacher without BatchNorm: of grey images (""), and of coloured ones.
DEFAULT = {"": "none_features", "cifar10_": "leaves_features"}
# Share of the gap that is to be closed, in %.
GOAL = 50
DATA = {"": "Fashion-MNIST", "cifar10_": "CIFAR-10"}
KINDS = {"convnext": "ConvNeXt", "vit": "ViT", "swin": "Swin"}

# What a reader is told of each setting.
MEANING = {
    "none": "nothing",
    "activation": "term: strong features, balanced classes",
    "layer_norm": "term: Gaussian inputs to LayerNorm",
    "leaves": "procedural pictures added to the images",
    "dead_leaves": "procedural pictures alone",
    "none_fitted": "fitted layers",
    "none_features": "fitted layers, features",
    "leaves_fitted": "procedural pictures added, fitted layers",
    "leaves_features": "procedural pictures added, fitted layers, features",
    "dead_leaves_fitted": "procedural pictures alone, fitted layers",
}


def title(group: str) -> str:
    """Title of a section: the teacher, its data, and whose network the student is."""
    data = "cifar10_" if group.startswith("cifar10_") else ""
    kind, half, _ = group.removeprefix(data).partition(HALF)
    return f"A {KINDS[kind]} on {DATA[data]}" + (", half-width student" if half else "")


class Page(StudyPage):
    """What each prior gives, and how much of the way from none to BatchNorm that is."""

    def __init__(self) -> None:
        super().__init__(FILE)

    def text(self) -> str:
        """Text of the page; saves its figures beside the table."""
        return fill(
            FILE.parent / "priors.md.j2",
            runs=len(self.ends),
            planned=len(self.study.runs()),
            minutes=f"{(self.study.groups['convnext'].minutes or [0])[0]:g}",
            elsewhere=self.elsewhere(),
            defaults=list(self.defaults()),
            goal=GOAL,
            groups={group: list(self.rows(group)) for group in BESIDE},
            titles={group: title(group) for group in BESIDE},
            verdicts={group: self.verdict(group) for group in BESIDE},
            pictures=[group for group in BESIDE if self.saved(group)],
            teachers=list(self.teachers()),
            machines=self.table.machines(),
        )

    def whole(self, group: str) -> pd.Series:
        """Accuracy by seed with the BatchNorm teacher of a group."""
        return by_seed(self.ends, BESIDE[group], "statistics_fitted" if group.endswith(HALF) else "statistics")

    def closed(self, group: str, found: pd.Series) -> pd.Series:
        """Share by seed of the gap between a group's `none` and its BatchNorm teacher that accuracies close, in %."""
        none, whole = by_seed(self.ends, group, "none"), self.whole(group)
        return (100 * (found - none) / (whole - none)).dropna()

    def defaults(self) -> Iterator[list[Any]]:
        """Row of each teacher: accuracy without a prior, by the defaults of `MINUTES=`, and with BatchNorm teachers."""
        for group in (each for each in BESIDE if not each.endswith(HALF)):
            data = "cifar10_" if group.startswith("cifar10_") else ""
            ours = by_seed(self.ends, group + HALF, DEFAULT[data])
            none, half, small = by_seed(self.ends, group, "none"), self.whole(group + HALF), self.whole(group)
            closed = self.closed(group, ours)
            seen = "not run" if closed.empty else f"{closed.mean():.0f} %"
            against = (f"{found.mean:+.2f} {found.range}" for found in (compare(ours, each) for each in (half, small)))
            shown = (with_deviation(each) for each in (none, ours, half, small))
            yield [title(group), len(closed), *shown, *against, seen]

    def verdict(self, group: str) -> str:
        """What the runs so far say about the priors, in words; one seed gives no verdict."""
        settings = [name for name in self.study.groups[group].all_settings if name != "none"]
        shares = {name: self.closed(group, by_seed(self.ends, group, name)) for name in settings}
        found = {name: closed for name, closed in shares.items() if len(closed)}
        if not found:
            return ""
        best = max(found, key=lambda name: (len(found[name]) > 1, found[name].mean()))
        share, n = found[best].mean(), len(found[best])
        gap = compare(self.whole(group), by_seed(self.ends, group, "none"))
        told = f"gap to the BatchNorm teacher is {gap} points"
        if n > 1 and abs(gap.mean) < MARGIN:
            ends = {name: by_seed(self.ends, group, name) for name in found}
            best = max(ends, key=lambda name: (len(ends[name]) > 1, ends[name].mean()))
            most = f"`{best}` reaches {ends[best].mean():.2f} %"
            return f"With {n} seeds the {told}, too small to judge shares of it; {most}."
        if n == 1:
            said = f"`{best}` " + (f"closes {share:.0f} % of it" if share > 0 else "loses least of the settings tried")
            return f"One seed, no verdict yet: the {told}, and {said}."
        if share <= 0:
            return f"No setting with {n} seeds closes any of the gap; `{best}` loses least. The {told}."
        reached = "reaches" if share >= GOAL else "misses"
        most = f"Of the settings with {n} seeds, `{best}` closes the largest share of the gap, {share:.0f} %"
        return f"{most}; this {reached} the goal of {GOAL} %. The {told}."

    def rows(self, group: str) -> Iterator[list[Any]]:
        """Row of each setting of a group, and last the accuracy with the BatchNorm teacher."""
        for setting in self.study.groups[group].all_settings:
            found = by_seed(self.ends, group, setting)
            closed = self.closed(group, found)
            share = "" if setting == "none" or closed.empty else f"{closed.mean():.0f} %"
            yield [setting, MEANING[setting], len(found), with_deviation(found), share]
        whole = self.whole(group)
        yield ["BatchNorm teacher", "", len(whole), with_deviation(whole), "100 %" if len(whole) else ""]
        if not group.endswith(HALF):
            pictures = by_seed(self.ends, BESIDE[group], "statistics_leaves")
            yield ["BatchNorm teacher", MEANING["leaves"], len(pictures), with_deviation(pictures), ""]

    def saved(self, group: str) -> bool:
        """Save the figure of a group if it has runs; returns whether it has."""
        if not (there := bool((self.ends["group"] == group).any())):
            return False
        settings = self.study.groups[group].all_settings
        found = {MEANING[setting]: by_seed(self.ends, group, setting) for setting in settings}
        found["a teacher with BatchNorm"] = self.whole(group)
        figure = dots(found, title(group), "validation accuracy of the student, %", MEANING["none"])
        figure.savefig(self.results / f"{group}.png", dpi=110)
        return there

    def teachers(self) -> Iterator[list[str]]:
        """Row of each teacher, with its epochs, accuracy and digest."""
        for name in self.study.teachers:
            if (file := TEACHERS / f"{name}.json").exists():
                each = json.loads(file.read_text())
                epochs, accuracy = each["recipe"]["training"]["epochs"], f"{100 * each['validation_accuracy']:.2f}"
                yield [name, str(epochs), accuracy, f"`{each['sha256'][:12]}`"]


if __name__ == "__main__":
    Page().write(PAGE)
