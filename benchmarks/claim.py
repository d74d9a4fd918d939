"""Makes docs/benchmarks.md, its figures and the table of tuning trials from the table of the claim's study.

python benchmarks/claim.py
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from harness.bench import TEACHERS
from harness.charts import accuracy_by_minutes, dots, sheet
from harness.scenario import PROJECT
from harness.table import END
from harness.templates import StudyPage, fill
from harness.verdicts import (
    MARGIN,
    NOISE,
    Expected,
    Verdict,
    Word,
    adjusted,
    by_seed,
    compare,
    effect_of_seeds,
    of_seeds,
    seconds_to_reach,
    spelt,
    time_to_equal,
    with_deviation,
)
from matplotlib.figure import Figure

from nayer.core.files import write_atomically
from nayer.synthesis.registry import METHODS

FILE = PROJECT / "benchmarks" / "studies" / "claim.yml"
PAGE = PROJECT / "docs" / "benchmarks.md"
PEERS = [name for name in METHODS if name not in ("nayer", "dead_leaves")]
BASELINES = {
    "real": "ceiling: real images and labels",
    "kd_real": "ceiling: KD on real images",
    "kd_noise": "floor: KD on noise",
}
PARTS = {
    "label text": ["nayer_one_hot", "nayer_random", "nayer_noise"],
    "label text and noisy layer": ["nayer_plain_noise"],
    "noisy layer": ["nayer_beside", "nayer_no_layer", "nayer_one_linear"],
    "K-to-1": ["nayer_1_to_1"],
    "BatchNorm on the table": ["nayer_raw_table"],
    "the prompt": ["nayer_name_alone"],
    "MiniLM against CLIP": ["nayer_clip"],
}
# What is expected of NAYER against settings that the paper does not call worse ("above" for all others).
EXPECTED: dict[str, Expected] = {"nayer_clip": "below", "nayer_1_to_1": "at least as good"}
# What the paper says of one ablation against another.
BESIDE: dict[str, tuple[str, str, Expected]] = {
    "noisy layer on noise": ("nayer_noise", "nayer_plain_noise", "above"),
    "layer drawn anew": ("nayer_one_life", "nayer_fixed", "above"),
    "layer drawn once": ("nayer_fixed", "nayer_no_layer", "about as good"),
}
# What the paper leads its readers to expect of each part.
EXPECTATION = {
    "label text": "it should be a better input to the generator than the alternatives",
    "label text and noisy layer": "together they should be better than plain noise, drawn for every image",
    "noisy layer on noise": "with noise as its input, too, the generator should be better with the layer",
    "noisy layer": "it should be better than whatever takes its place",
    "layer drawn anew": "a layer drawn anew for every batch should be better than one drawn once",
    "layer drawn once": "a layer drawn once should be about as good as none",
    "K-to-1": "one Linear per set of K rows, one row per class, should be at least as good as one per image",
    "BatchNorm on the table": "the label embeddings should be better with it than without",
    "the prompt": "it should be better than the class name alone",
    "MiniLM against CLIP": "MiniLM's table should be worse than CLIP's",
    "accuracy": "NAYER should be better than each peer in the same minutes",
    "speed": "with a fifth of a peer's minutes or less, NAYER should be at least as good",
    "speed of synthesis": "with a fifth of a peer's synthesis time and all student steps, NAYER should be at least as "
    "good",
}
# NAYER's setting, and for each group of its peers the group in which it has a fifth of their time or less: of all
# minutes, or of those of synthesis alone.
SPEED = {
    "speed": (
        "nayer",
        {"tier1": "tier1_fifth", "tier1_30": "tier1", "tier2": "tier2_fifth", "tier3": "tier3_fifth"},
    ),
    "speed of synthesis": ("nayer_fifth", {"tier1": "tier1_synthesis"}),
}
MEANING = {
    "nayer_one_hot": "one-hot rows",
    "nayer_random": "random rows",
    "nayer_noise": "noise for every image",
    "nayer_plain_noise": "noise for every image, without a layer",
    "nayer_beside": "noise appended to label text instead of the layer",
    "nayer_one_life": "one generator in the warm-up, one after it",
    "nayer_fixed": "a layer drawn once in the warm-up and once after it (both with one generator in each)",
    "nayer_no_layer": "no noisy layer (one distinct image per class in a batch)",
    "nayer_1_to_1": "one Linear per image (costlier, so fewer batches)",
    "nayer_one_linear": "one Linear per batch (one distinct image per class)",
    "nayer_raw_table": "no BatchNorm on the table",
    "nayer_name_alone": "the class name alone",
    "nayer_clip": "CLIP's table",
    "nayer_fifth": "a fifth of the synthesis time, all student steps",
}
# Order of verdicts in the summary, the most telling first.
SAID: tuple[Word, ...] = ("for the paper", "against the paper", "undecided", "one seed")
PAIRS = {
    "fashion_mnist": "Fashion-MNIST, WRN-16-1 > WRN-10-1",
    "cifar10": "CIFAR-10, WRN-16-2 > WRN-16-1",
    "cifar100": "CIFAR-100, WRN-16-2 > WRN-16-1",
    "paper_cifar10": "CIFAR-10, WRN-40-2 > WRN-16-1",
}
# Accuracies by which the speed of convergence is judged.
CONVERGED = (0.75, 0.80, 0.85)
TIERS = ("tier1", "tier1_30", "tier2", "tier3")
COLUMNS = (
    (END, 100, "{:.2f}"),
    ("agreement", 100, "{:.2f}"),
    ("images", 1, "{:,.0f}"),
    ("gflop", 1, "{:,.0f}"),
    ("peak_memory_gib", 1, "{:.1f}"),
)


@dataclass(frozen=True)
class Line:
    """A verdict on a part of the claim, and what a reader is told of it."""

    part: str
    against: str
    pair: str
    minutes: str
    found: Verdict
    word: Word
    word_unpaired: Word
    only: str
    """Pattern of the names of its runs, for --only."""
    published: str

    def cells(self, chance: float) -> list[Any]:
        """Row of the table; `chance` is the verdict's p-value, adjusted for the number of verdicts."""
        p = "" if isnan(chance) else f"{chance:.3f}"
        said = (self.found, self.found.range, self.found.range_unpaired, self.found.n, p, self.word)
        where = f"{self.pair}, {self.minutes}"
        return [self.part, self.against, where, *said, f"`'{self.only}-*'`", self.published]


class Page(StudyPage):
    """The claim's results as Markdown and figures."""

    def __init__(self) -> None:
        super().__init__(FILE)
        self.rows = self.table.read()
        self.published: dict[str, Any] = yaml.safe_load((FILE.parent / "published.yml").read_text())

    def text(self) -> str:
        """Text of the page; saves its figures beside the table."""
        lines = self.lines()
        chance = adjusted([line.found for line in lines])
        trials = int((self.ends["group"] == "tuning").sum())
        return fill(
            FILE.parent / "claim.md.j2",
            runs=len(self.ends),
            planned=len(self.study.runs()),
            trials=trials,
            trials_left=len(self.study.groups["tuning"].all_settings) - trials,
            noise=NOISE,
            margin=MARGIN,
            short=self.in_short(lines),
            verdicts=[line.cells(each) for line, each in zip(lines, chance, strict=True)],
            told=sum(line.found.n > 1 for line in lines),
            few_steps=self.few_steps(),
            seeds=self.effect_of_seeds(),
            by_pairing=[
                f"{each.part}, {each.against} ({each.minutes}; {each.word_unpaired})"
                for each in lines
                if each.word != each.word_unpaired
            ],
            convergence=list(self.convergence()),
            where_ablated=self.where("ablations"),
            pace=list(self.pace()),
            published=self.published,
            methods=self.methods(),
            pictures={name: self.saved(name, title, figure) for name, title, figure in self.figures()},
            share=f"{100 * self.study.pairs['fashion_mnist'].student_share:.0f} %",
            teachers=list(self.teachers()),
            elsewhere=self.elsewhere(),
            machines=self.table.machines(),
            untold=int(self.ends["commit"].isna().sum()),
        )

    def in_short(self, lines: Iterable["Line"]) -> dict[str, list[str]]:
        """By pair, the outcome of each part of the claim, the largest differences first."""
        told: dict[str, dict[tuple[str, str], dict[Word, list[tuple[float, str]]]]] = {}
        for line in lines:
            if line.found.n:
                parts = told.setdefault(line.pair, {})
                said = parts.setdefault((line.part, line.minutes), {}).setdefault(line.word, [])
                shown = f"{line.against} {line.found.mean:+.2f} {line.found.range}".rstrip()
                said.append((-abs(line.found.mean), shown))
        return {pair: [in_words(*part, words) for part, words in parts.items()] for pair, parts in told.items()}

    def verdict(self, group: str, base: str, other: str, setting: str = "nayer") -> Verdict:
        """Compare NAYER in one group with another setting, which may stand in another group."""
        return compare(by_seed(self.ends, base, setting), by_seed(self.ends, group, other))

    def lines(self) -> list["Line"]:
        """All verdicts, part by part."""
        return [*self.parts(), *self.beside(), *self.peers(), *self.speed()]

    def beside(self) -> Iterator["Line"]:
        """One ablation against another, where the paper says something about them."""
        for part, (one, other, expected) in BESIDE.items():
            found = compare(*(by_seed(self.ends, "ablations", each) for each in (one, other)))
            yield self.line(part, MEANING[other], "tier1", found, expected, ("ablations", other))

    def parts(self) -> Iterator["Line"]:
        """Each part of the method against the method without it."""
        for part, settings in PARTS.items():
            for setting in settings:
                for group, base in (("ablations", "tier1"), ("tier2", "tier2"), ("tier3", "tier3")):
                    if setting in self.study.groups[group].all_settings:
                        found, expected = self.verdict(group, base, setting), EXPECTED.get(setting, "above")
                        yield self.line(part, MEANING[setting], base, found, expected, (group, setting))

    def peers(self) -> Iterator["Line"]:
        """The method against each of its peers."""
        for peer, group in self.met((*TIERS, "tier1_fifth")):
            found = self.verdict(group, group, peer)
            yield self.line("accuracy", METHODS[peer].title, group, found, "above", (group, peer))

    def speed(self) -> Iterator["Line"]:
        """The method in a fifth of its peers' time."""
        for part, (setting, places) in SPEED.items():
            for peer, group in self.met(places):
                short = places[group]
                minutes = (self.study.groups[short].minutes or [0])[0]
                found = self.verdict(group, short, peer, setting)
                line = self.line(part, METHODS[peer].title, group, found, "at least as good", (short, setting))
                yield replace(line, minutes=f"{line.minutes}, NAYER in {minutes:g} min")

    def met(self, groups: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Every peer in each of the groups that have it."""
        for group in groups:
            yield from ((peer, group) for peer in PEERS if peer in self.study.groups[group].all_settings)

    def line(
        self, part: str, against: str, group: str, found: Verdict, expected: Expected, place: tuple[str, str]
    ) -> "Line":
        """A verdict, with what a reader is told of it."""
        published = self.published["parts"].get(part, "on CIFAR: see below")
        told, (pair, minutes) = against + self.precisions(group, place), self.place(group)
        words = found.word(expected), found.word_unpaired(expected)
        return Line(part, told, pair, minutes, found, *words, "-*-".join(place), published)

    def precisions(self, group: str, place: tuple[str, str]) -> str:
        """Note for readers where NAYER's runs of a group and another setting's differ in precision; otherwise empty."""
        sets = [
            set(self.ends[(self.ends["group"] == each) & (self.ends["setting"] == setting)]["precision"].dropna())
            for each, setting in ((group, "nayer"), place)
        ]
        ours, other = (" and ".join(sorted(each)) for each in sets)
        return f" ({other}; NAYER {ours})" if all(sets) and sets[0] != sets[1] else ""

    def place(self, group: str) -> tuple[str, str]:
        """Data and pair, and the minutes, if any are set."""
        chosen = self.study.groups[group]
        return PAIRS[chosen.pair], ", ".join(f"{each:g} min" for each in chosen.minutes or [])

    def where(self, group: str) -> str:
        """Data, pair and minutes, if any are set."""
        return ", ".join(each for each in self.place(group) if each)

    def pace(self) -> Iterator[list[Any]]:
        """Time to equal accuracy, within runs of the same minutes."""
        for peer, group in self.met(TIERS):
            minutes = (self.study.groups[group].minutes or [0])[0]
            found = time_to_equal(self.rows, group, "nayer", peer, minutes)
            times = (found["slow"] / found["fast"]).fillna(0.0)
            told = ", ".join(
                f"{slow / 60:.1f} / {fast / 60:.1f}" if fast > 0 else "never" for slow, fast in found.to_numpy()
            )
            most = f"{self.most(group, peer):.1f}" if len(times) else ""
            yield [METHODS[peer].title, self.where(group), len(times), told, with_deviation(times), most]

    def most(self, group: str, peer: str) -> float:
        """Largest speed-up that could be observed: some time passes until a run of NAYER first shows its accuracy."""
        shown = self.rows[self.rows["group"] == group]
        ours, other = (shown[shown["setting"] == each].groupby("seed") for each in ("nayer", peer))
        return float((other["counted_seconds"].max() / ours["counted_seconds"].min()).mean())

    def few_steps(self) -> list[str]:
        """Accuracy in % of KD on real images in the student steps of a tier, and in those of a fifth of its minutes."""
        found = (by_seed(self.ends, group, "kd_real") for group in ("tier1", "tier1_fifth"))
        return [f"{each.mean():.2f}" for each in found if len(each)]

    def effect_of_seeds(self) -> dict[str, str]:
        """Whether seeds have an effect common to all settings: the settings on Fashion-MNIST that ran on all seeds."""
        tiers = [name for name, group in self.study.groups.items() if group.pair == "fashion_mnist" and group.test]
        found = self.ends[self.ends["group"].isin(tiers)].astype({END: float})
        found = found.pivot_table(END, ["group", "setting"], "seed").dropna()
        f, p = effect_of_seeds(100 * found)
        return {"settings": str(len(found)), "f": f"{f:.2f}", "p": f"{p:.2f}"}

    def convergence(self) -> Iterator[list[Any]]:
        """How much longer NAYER with another input takes until it first shows a fixed accuracy."""
        for setting in PARTS["label text"]:
            for accuracy in CONVERGED:
                first = {}
                for group, each in (("tier1", "nayer"), ("ablations", setting)):
                    rows = self.rows[(self.rows["group"] == group) & (self.rows["setting"] == each)]
                    curves = rows.groupby("seed")
                    first[each] = pd.Series({seed: seconds_to_reach(curve, accuracy) for seed, curve in curves})
                found = of_seeds(first[setting] / first["nayer"])
                shown = spelt((found.mean - found.interval, found.mean + found.interval), 2) if found.n > 1 else ""
                yield [MEANING[setting], f"{100 * accuracy:.0f} %", found.n, f"{found.mean:.2f}", shown]

    def methods(self) -> dict[str, list[list[str]]]:
        """Rows of every setting that ran, by data, pair and minutes, the most accurate first."""
        found: dict[str, list[tuple[float, list[str]]]] = {}
        tested = self.ends[self.ends["judged_on"] == "test"]
        named = {name: method.title for name, method in METHODS.items()} | BASELINES
        named |= {name: f"NAYER, {what}" for name, what in MEANING.items()}
        for (group, setting), part in tested.groupby(["group", "setting"], sort=False):
            mean = part.select_dtypes("number").mean()
            figures = ["" if pd.isna(mean.get(key)) else form.format(by * mean[key]) for key, by, form in COLUMNS]
            spread = f"{100 * part[END].std():.2f}" if len(part) > 1 else ""
            precisions = ", ".join(sorted(part["precision"].dropna().unique()))
            row = [named[str(setting)], str(len(part)), figures[0], spread, *figures[1:], precisions]
            found.setdefault(self.where(str(group)), []).append((-mean[END], row))
        places = dict.fromkeys(self.where(group) for group in self.study.groups)
        return {where: [row for _, row in sorted(found[where])] for where in places if where in found}

    def figures(self) -> Iterator[tuple[str, str, Figure]]:
        """Name, title and figure of everything that there are runs for."""
        there = set(self.ends["group"])
        if groups := {group: self.where(group) for group in TIERS if group in there}:
            titles = {name: method.title for name, method in METHODS.items()}
            yield "accuracy", "Accuracy against minutes", accuracy_by_minutes(self.rows, groups, titles, BASELINES)
        if "ablations" in there:
            found = {"NAYER as it is": by_seed(self.ends, "tier1", "nayer")}
            for setting in self.study.groups["ablations"].all_settings:
                found[MEANING[setting]] = by_seed(self.ends, "ablations", setting)
            title = f"NAYER with one part changed, {self.where('tier1')}"
            yield "ablations", "Ablations", dots(found, title, "test accuracy, %", next(iter(found)))
        if strips := list(self.strips()):
            yield "images", "Images of all methods, the same classes side by side", sheet(strips)

    def saved(self, name: str, title: str, figure: Figure) -> str:
        """Write a figure; returns its title."""
        write_atomically(
            self.results / f"{name}.png",
            lambda part: figure.savefig(part, dpi=110, format="png", metadata={"Software": None}),
        )
        return title

    def strips(self) -> Iterator[tuple[str, Path]]:
        """Title and strip of images of each method, from the first seed that ran in the first tier."""
        first = [run for run in self.study.runs() if run.group == "tier1"]
        for name, method in METHODS.items():
            files = (self.results / "images" / f"{run.key}.png" for run in first if run.setting == name)
            yield from [(method.title, file) for file in files if file.exists()][:1]

    def teachers(self) -> Iterator[list[str]]:
        """Row of each teacher, with its recipe, accuracy and digest."""
        for file in sorted(TEACHERS / f"{name}.json" for name in self.study.teachers):
            if not file.exists():
                continue
            each = json.loads(file.read_text())
            training, accuracy = each["recipe"]["training"], f"{100 * each['validation_accuracy']:.2f}"
            yield [file.stem, training["epochs"], training["learning_rate"], accuracy, f"`{each['sha256'][:12]}`"]

    def tuning(self) -> pd.DataFrame:
        """Every trial, what it changed, what it reached, and whether it was taken."""
        trials = self.ends[self.ends["group"] == "tuning"]
        chosen = [self.study.settings[name] for name in METHODS if name in self.study.settings]
        rows = [
            {
                "method": self.study.settings[row["setting"]].method,
                "trial": row["setting"],
                "changes": json.dumps(self.study.settings[row["setting"]].synthesis),
                "validation_accuracy": row[END],
                "seed": row["seed"],
                "minutes": row["minutes"],
                "chosen": self.study.settings[row["setting"]] in chosen,
            }
            for row in trials.to_dict("records")
        ]
        return pd.DataFrame(rows)


def in_words(part: str, minutes: str, words: Mapping[Word, Sequence[tuple[float, str]]]) -> str:
    """One part of the claim in words: what is expected of it, and its comparisons by verdict."""
    listed = {word: "; ".join(text for _, text in sorted(words[word])) for word in SAID if word in words}
    found = " ".join(f"*{word.capitalize()}*: {others}." for word, others in listed.items())
    return f"**{part[0].upper()}{part[1:]}** ({minutes}): {EXPECTATION[part]}. {found}"


def main() -> None:
    page = Page()
    page.results.mkdir(parents=True, exist_ok=True)
    page.tuning().to_csv(page.results / "tuning.csv", index=False)
    page.write(PAGE)


if __name__ == "__main__":
    main()
