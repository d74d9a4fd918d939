"""docs/results/priors.md and its figure, from the table of the study of priors.

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
from harness.verdicts import by_seed, compare, with_deviation

FILE = PROJECT / "benchmarks" / "studies" / "priors.yml"
PAGE = PROJECT / "docs" / "results" / "priors.md"
# Each group of a teacher without BatchNorm, and that of the same student of a teacher with it that is as accurate.
BESIDE = {
    "convnext": "batchnorm",
    "convnext_half": None,
    "vit": "batchnorm",
    "cifar10_convnext": "cifar10_batchnorm",
    "cifar10_convnext_half": None,
    "cifar10_vit": "cifar10_batchnorm",
}
# Of the gap, in %.
GOAL = 50
TITLES = {
    "convnext": "Fashion-MNIST, a ConvNeXt",
    "convnext_half": "Fashion-MNIST, a ConvNeXt, half of it for a student",
    "vit": "Fashion-MNIST, a ViT",
    "cifar10_convnext": "CIFAR-10, a ConvNeXt",
    "cifar10_convnext_half": "CIFAR-10, a ConvNeXt, half of it for a student",
    "cifar10_vit": "CIFAR-10, a ViT",
}


# What a reader is told of each setting.
MEANING = {
    "none": "no prior",
    "none_10": "no prior, 10 steps a batch",
    "variation": "smooth pictures, weight 10",
    "variation_1": "smooth pictures, weight 1",
    "variation_03": "smooth pictures, weight 0.3",
    "pixels": "pixels as normalised, weight 10",
    "pixels_1": "pixels as normalised, weight 1",
    "activation": "strong features, balanced classes",
    "layer_norm": "inputs of LayerNorm, weight 10",
    "layer_norm_1": "inputs of LayerNorm, weight 1",
    "patches": "varied likeness of patches, weight 10",
    "patches_1": "varied likeness of patches, weight 1",
    "leaves": "procedural pictures beside the images",
    "leaves_fitted": "the same, the student's layers fitted first",
    "dead_leaves": "procedural pictures alone",
    "dead_leaves_fitted": "these alone, the student's layers fitted first",
    "dead_leaves_80": "these alone, 80 % of the time for the student",
}


class Page(StudyPage):
    """What each prior gives, and how much of the way from none to BatchNorm that is."""

    def __init__(self) -> None:
        super().__init__(FILE)

    def text(self) -> str:
        """The page, its figures saved beside the table."""
        return fill(
            FILE.parent / "priors.md.j2",
            runs=len(self.ends),
            planned=len(self.study.runs()),
            groups={group: list(self.rows(group)) for group in BESIDE},
            titles=TITLES,
            verdicts={group: self.verdict(group) for group in BESIDE},
            pictures=[group for group in BESIDE if self.saved(group)],
            teachers=list(self.teachers()),
            machines=self.table.machines(),
        )

    def whole(self, group: str) -> pd.Series:
        """By seed, what the teacher with BatchNorm gives; nothing where there is none beside a group."""
        return by_seed(self.ends, BESIDE[group] or group, "statistics")

    def closed(self, group: str, setting: str) -> pd.Series:
        """By seed, how much of the way from no prior to the BatchNorm teacher a setting goes, in %."""
        none, whole = by_seed(self.ends, group, "none"), self.whole(group)
        return (100 * (by_seed(self.ends, group, setting) - none) / (whole - none)).dropna()

    def verdict(self, group: str) -> str:
        """What the runs so far say of the goal, that something closes half of the gap; one seed is no verdict."""
        settings = [name for name in self.study.groups[group].settings if name != "none"]
        found = {name: closed for name in settings if len(closed := self.closed(group, name))}
        if not found:
            return ""
        best = max(found, key=lambda name: found[name].mean())
        share, n = found[best].mean(), len(found[best])
        gap = compare(self.whole(group), by_seed(self.ends, group, "none"))
        told = f"the gap to the BatchNorm teacher is {gap} points"
        if n == 1:
            said = f"`{best}` closes {share:.0f} % of it" if share > 0 else f"`{best}` loses least of what was tried"
            return f"One seed, no verdict yet: {told}, and {said}."
        if share <= 0:
            return f"None of the {len(found)} tried closes any of the gap ({n} seeds; {told}); `{best}` loses least."
        reached = "reaches" if share >= GOAL else "misses"
        return f"`{best}` closes most of it, {share:.0f} % ({n} seeds; {told}), which {reached} the goal of {GOAL} %."

    def rows(self, group: str) -> Iterator[list[Any]]:
        """Each setting of a group, and last what the teacher with BatchNorm gives."""
        for setting in self.study.groups[group].settings:
            found = by_seed(self.ends, group, setting)
            said = self.study.settings[setting].synthesis
            closed = self.closed(group, setting)
            share = "" if setting == "none" or closed.empty else f"{closed.mean():.0f} %"
            yield [setting, said.get("prior_weight", ""), len(found), with_deviation(found), share]
        if BESIDE[group]:
            whole = self.whole(group)
            yield ["BatchNorm teacher", "", len(whole), with_deviation(whole), "100 %" if len(whole) else ""]
            pictures = by_seed(self.ends, BESIDE[group] or group, "statistics_leaves")
            yield ["BatchNorm teacher, leaves", "", len(pictures), with_deviation(pictures), ""]

    def saved(self, group: str) -> bool:
        """Draw the dots of a group that has some."""
        if not (there := bool((self.ends["group"] == group).any())):
            return False
        found = {MEANING[setting]: by_seed(self.ends, group, setting) for setting in self.study.groups[group].settings}
        if BESIDE[group]:
            found["a teacher with BatchNorm"] = self.whole(group)
        figure = dots(found, TITLES[group], "validation accuracy of the student, %", MEANING["none"])
        figure.savefig(self.results / f"{group}.png", dpi=110)
        return there

    def teachers(self) -> Iterator[list[str]]:
        """What taught, and by which recipe."""
        for name in self.study.teachers:
            if (file := TEACHERS / f"{name}.json").exists():
                each = json.loads(file.read_text())
                epochs, accuracy = each["recipe"]["training"]["epochs"], f"{100 * each['validation_accuracy']:.2f}"
                yield [name, str(epochs), accuracy, f"`{each['sha256'][:12]}`"]


if __name__ == "__main__":
    Page().write(PAGE)
