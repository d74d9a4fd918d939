"""Makes docs/results/minutes.md and its figures from the table of the study of levers.

python benchmarks/minutes.py
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from harness.bench import TEACHERS
from harness.charts import dots, ends_by_minutes
from harness.scenario import PROJECT
from harness.settings import Setting
from harness.table import END, Table
from harness.templates import StudyPage, fill
from harness.verdicts import NOISE, Verdict, by_seed, compare, of_seeds, with_deviation
from matplotlib.figure import Figure

from nayer.distillation.cost import StepSeconds

FILE = PROJECT / "benchmarks" / "studies" / "levers.yml"
PAGE = PROJECT / "docs" / "results" / "minutes.md"
CLAIM = PROJECT / "docs" / "results" / "claim"
# Of each group of levers: its heading, the setting that the others are compared with, and the group in which that runs.
LEVERS = {
    "student": ("How the student learns", "published", "student"),
    "start": ("Where the student starts", "student", "student"),
    "features": ("What the student is compared by", "reconstructed", "features"),
    "features_fashion_mnist": ("The same on Fashion-MNIST", "reconstructed", "features_fashion_mnist"),
    "images": ("How the images are made", "start_early", "start"),
    "generators": ("Which generator makes them", "features_3", "generators"),
    "generators_fresh": ("Which generator, for a student of fresh weights", "student", "generators_fresh"),
    "generators_fashion_mnist": ("Which generator, on Fashion-MNIST", "features_3", "generators_fashion_mnist"),
    "generators_cifar100": ("Which generator, on CIFAR-100", "features_3", "generators_cifar100"),
    "generators_resnet": ("Which generator, for a ResNet of transformers", "features_3", "generators_resnet"),
    "generators_wrn-40-2": ("Which generator, for a WRN-40-2", "features_3", "generators_wrn-40-2"),
    "leaves": ("Procedural pictures", "reconstructed", "leaves"),
    "halves": ("Half of a torchvision network", "student", "halves"),
}


@dataclass(frozen=True)
class Goal:
    """A goal of ours, on test images: accuracy in %, and points above the published recipe."""

    pair: str
    group: str
    least: float | None
    above: float | None
    setting: str = "minutes"
    """The study's name of what is judged."""

    def __str__(self) -> str:
        held = {"≥ {:.1f} %": self.least, "≥ {:g} points above": self.above}
        return ", ".join(text.format(value) for text, value in held.items() if value is not None)

    def met(self, ours: pd.Series, points: Verdict, seeds: int) -> str:
        """Whether the runs so far meet the goal, in words; `seeds` says how many are planned."""
        counted = len(ours) if self.above is None else points.n
        if not counted:
            return "not run"
        low = self.least is not None and ours.mean() < self.least
        close = self.above is not None and not points.mean >= self.above
        word = "missed" if low or close else "met"
        return word if counted == seeds else f"{word} so far, {counted} of {seeds} seeds"


GOALS = (
    Goal("Fashion-MNIST, WRN-16-1 > WRN-10-1", "goal_fashion_mnist", 91.0, 1.0),
    Goal("CIFAR-10, WRN-16-2 > WRN-16-1", "goal_cifar10", 87.0, 3.0),
    Goal("CIFAR-10, WRN-40-2 > WRN-16-1", "goal_cifar10_wrn-40-2", 90.0, None, "common_10"),
    Goal("CIFAR-100, WRN-16-2 > WRN-16-1", "goal_cifar100", None, 4.0),
)
STRANGER, KEPT = "goal_stranger", 0.94
# The groups of each panel of the figure of accuracy against minutes.
BY_MINUTES = {
    "CIFAR-10, WRN-16-2 > WRN-16-1": ["by_minutes_cifar10", "goal_cifar10", "hundred_cifar10"],
    "CIFAR-100, WRN-16-2 > WRN-16-1": ["by_minutes_cifar100", "goal_cifar100", "hundred_cifar100"],
}
# Settings that run in the goals' groups beside the two recipes, and what a reader is told of them.
BESIDE = {"unchanged": "the scenario's own recipe, with nothing changed but its schedule"}
CURVES = {"published": "as published", "minutes": "recipe of MINUTES="}
DATA = {"fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
# Characters of a setting's changes that a figure spells out; if there are more, it shows the setting's name.
LONGEST = 100
# Best trials of a search that are shown beside its first.
BEST = 5
LEVELS = {"real": "ceiling: real images and labels", "kd_noise": "floor: KD on noise"}


class Page(StudyPage):
    """The levers' results as Markdown and figures."""

    def __init__(self) -> None:
        super().__init__(FILE)

    def text(self) -> str:
        """Text of the page; saves its figures beside the table."""
        return fill(
            FILE.parent / "minutes.md.j2",
            runs=len(self.ends),
            planned=len(self.study.runs()),
            noise=NOISE,
            goals=list(self.goals()),
            computed=list(self.computed()),
            beside=list(self.tested(beside=True)),
            earlier=list(self.tested(beside=False)),
            stranger=self.stranger(),
            cifar10_step=self.step_of_400("cifar10"),
            elsewhere=self.elsewhere(),
            on_a_gpu=self.on_a_gpu(),
            torchvision=self.validated("cifar10_torchvision"),
            larger=self.larger(),
            claimed=self.claimed(),
            by_minutes=list(self.by_minutes()),
            groups={name: list(self.levers(name)) for name in LEVERS},
            titles={name: title for name, (title, *_) in LEVERS.items()},
            against={name: base for name, (_, base, _) in LEVERS.items()},
            searches=list(self.searches()),
            pictures=[name for name in (*LEVERS, "accuracy") if self.saved(name)],
            machines=self.table.machines(),
        )

    def goals(self) -> Iterator[list[Any]]:
        """What the recipe for minutes reaches on test images, beside the published one in the same minutes."""
        for goal in GOALS:
            group = self.study.groups[goal.group]
            minutes = (group.minutes or [0])[0]
            ours, published = (by_seed(self.ends, goal.group, each) for each in (goal.setting, "published"))
            points, reached = compare(ours, published), of_seeds(ours)
            shown = (f"{with_deviation(each)} {of_seeds(each).range}".rstrip() for each in (published, ours))
            seen = goal.met(ours, points, len(group.seeds))
            if (
                reached.n > 1
                and goal.least is not None
                and seen == "met"
                and reached.mean - reached.interval < goal.least
            ):
                seen = "met by the mean"
            yield [goal.pair, f"{minutes:g}", f"{len(published)}, {len(ours)}", *shown, points, goal, seen]

    def computed(self) -> Iterator[str]:
        """Device and precision of the runs of each goal whose two recipes differ in them."""
        for goal in GOALS:
            rows = self.ends[self.ends["group"] == goal.group]
            told = {name: computed(rows[rows["setting"] == each]) for each, name in CURVES.items()}
            if all(told.values()) and len(set(told.values())) > 1:
                yield f"{goal.pair} ({'; '.join(f'{name}: {where}' for name, where in told.items())})"

    def on_a_gpu(self) -> set[str]:
        """The groups whose runs all took their steps on a GPU."""
        accelerators = self.ends.groupby("group")["machine.accelerator"]
        return set(accelerators.apply(lambda each: each.notna().all()).loc[lambda each: each].index)

    def validated(self, teacher: str) -> str:
        """Accuracy of a teacher on validation images, in %."""
        record = json.loads((TEACHERS / f"{teacher}.json").read_text())
        return f"{100 * record['validation_accuracy']:.1f}"

    def step_of_400(self, pair: str) -> str | None:
        """Seconds for two steps of the pair's 200 synthetic images, by which machines are compared."""
        costs = json.loads((self.results / "costs.json").read_text())
        found = costs.get(f"synthesis, {pair} published")
        steps = found and found["many"] - found["few"]
        return found and f"{2 * (found['many_steps'] - found['few_steps']) / steps:.2f}"

    def larger(self) -> dict[str, str]:
        """What the page says of the WRN-40-2's run, and of what its batches cost beside NAYER's."""
        runs = self.ends[self.ends["group"] == "goal_cifar10_wrn-40-2"]
        return {
            "validated": self.validated("cifar10_wrn-40-2_short"),
            **(self.kept(runs.iloc[0]) if len(runs) else {}),
        }

    def kept(self, run: pd.Series) -> dict[str, str]:
        """What a run with FastDFKD's generator kept, its time, and by how much NAYER's batches cost more."""
        costs = json.loads((self.results / "costs.json").read_text())
        dearer = []
        for pair in ("cifar10_amx", "cifar100_amx", "fashion_mnist_amx"):
            nayer, common = (
                StepSeconds(**{key: costs[name].get(key, 0.0) for key in StepSeconds.model_fields})
                for name in (f"synthesis, {pair} published", f"synthesis, {pair} common_20")
            )
            steps = run["schedule.steps"]
            dearer.append(100 * (nayer.batch(steps) / common.batch(steps) - 1))
        return {
            "teacher": f"{100 * run['teacher_accuracy']:.2f}",
            "kept": f"{run[END] / run['teacher_accuracy']:.4f}",
            "taken": f"{run['wall_seconds'] / 60:.0f}",
            "dearer": f"{min(dearer):+.0f} to {max(dearer):+.0f}",
        }

    def claimed(self) -> dict[str, str]:
        """What the claim's study, whose schedule differs, reaches with the published recipe in a goal's minutes."""
        there = Table(CLAIM).ends()
        there = there[(there["group"] == "tier2") & (there["setting"] == "nayer")]
        here = self.ends[(self.ends["group"] == "goal_cifar10") & (self.ends["setting"] == "published")]
        if there.empty or here.empty:
            return {}
        counts = {name: f"{each['images'].mean():,.0f}" for name, each in (("images", there), ("here", here))}
        return {"n": str(len(there)), "accuracy": with_deviation(100 * there[END].astype(float)), **counts}

    def tested(self, beside: bool) -> Iterator[str]:
        """Other settings judged on test images: those beside the goals' two recipes, or recipes that were given up."""
        for goal in GOALS:
            for setting in self.study.groups[goal.group].all_settings:
                found = by_seed(self.ends, goal.group, setting)
                if setting not in (goal.setting, "published") and (setting in BESIDE) == beside and len(found):
                    about = f" ({BESIDE[setting]})" if beside else ""
                    yield f"`{setting}`{about}, {goal.pair}, n = {len(found)}: {with_deviation(found)}"

    def stranger(self) -> dict[str, Any]:
        """How much of its teacher's accuracy a student keeps, for a stranger's teacher on which nothing was chosen."""
        group = self.study.groups[STRANGER]
        found = self.ends[self.ends["group"] == STRANGER]
        student, teacher = (found[key].astype(float) for key in (END, "teacher_accuracy"))
        kept = student / teacher
        return {
            "minutes": f"{(group.minutes or [0])[0]:g}",
            "n": len(found),
            "kept": f"{kept.mean():.3f}",
            "student": with_deviation(100 * student),
            "teacher": f"{100 * teacher.mean():.2f}",
            "seen": ("met" if kept.mean() >= KEPT else "missed") + " so far" * (len(found) < len(group.seeds)),
        }

    def levers(self, group: str) -> Iterator[list[Any]]:
        """Row of each setting of a group: what it changes, what it reaches, and the difference from its base."""
        _, base, home = LEVERS[group]
        for setting in self.study.groups[group].all_settings:
            chosen = self.ends[(self.ends["group"] == group) & (self.ends["setting"] == setting)]
            found = 100 * chosen[END].astype(float)
            what = changes(self.study.settings[setting], self.study.settings[base])
            spread = f"{found.std():.2f}" if len(found) > 1 else ""
            against = compare(by_seed(self.ends, group, setting), by_seed(self.ends, home, base))
            taken = [chosen[key].astype(float).mean() / 60 for key in ("synthesis_seconds", "student_seconds")]
            spent = [f"{each:.1f}" for each in taken if pd.notna(each)]
            images, steps = (f"{chosen[key].astype(float).mean():,.0f}" for key in ("images", "student_steps"))
            points = "" if setting == base else str(against)
            yield [setting, what, len(found), f"{found.mean():.2f}", spread, points, images, steps, " + ".join(spent)]

    def searches(self) -> Iterator[dict[str, Any]]:
        """For each search its configuration, its first trial and its best ones so far."""
        for name, search in self.study.searches.items():
            file = self.results / f"search_{name}.csv"
            found = pd.read_csv(file) if file.exists() else pd.DataFrame({"accuracy": []})
            done = found[found["accuracy"].notna()]
            best = done.iloc[1:].nlargest(BEST, "accuracy")
            rows = [
                [row["trial"], f"{100 * row['accuracy']:.2f}", *(spelt(row[key]) for key in search.space)]
                for row in pd.concat([done.head(1), best]).to_dict("records")
            ]
            yield {"name": name, "done": len(done), "rows": rows, **search.model_dump()}

    def by_minutes(self) -> Iterator[list[Any]]:
        """What each recipe reaches in a given time."""
        for pair, groups in BY_MINUTES.items():
            given = [(minutes, name) for name in groups for minutes in self.study.groups[name].minutes or ()]
            for minutes, name in sorted(given):
                ours, published = (by_seed(self.ends, name, each, minutes) for each in ("minutes", "published"))
                shown = (with_deviation(each) for each in (published, ours))
                counts = f"{len(published)}, {len(ours)}"
                yield [pair, f"{minutes:g}", counts, *shown, compare(ours, published)]

    def saved(self, picture: str) -> bool:
        """Save the dots of a group, or accuracy against minutes, if there are runs of it; returns whether there are."""
        if picture == "accuracy":
            panels = {pair: groups for pair, groups in BY_MINUTES.items() if self.ends["group"].isin(groups).any()}
            figure = ends_by_minutes(self.ends, panels, CURVES, LEVELS) if panels else None
        else:
            there = (self.ends["group"] == picture).any()
            figure = self.dots(picture) if there else None
        if figure is not None:
            figure.savefig(self.results / f"{picture}.png", dpi=110)
        return figure is not None

    def dots(self, name: str) -> Figure:
        """Figure of what each setting of a group reaches, named by what it changes, and of what its base reaches."""
        group, (_, base, home) = self.study.groups[name], LEVERS[name]
        (minutes,) = group.minutes or [0]
        found = {base: by_seed(self.ends, home, base)}
        for setting in (each for each in group.all_settings if each != base):
            what = changes(self.study.settings[setting], self.study.settings[base]).replace("`", "").replace('"', "")
            found[what if len(what) <= LONGEST else setting] = by_seed(self.ends, name, setting)
        title = f"Changes to {base}: {DATA[self.study.scenario(group.pair)]}, {minutes:g} min"
        return dots(found, title, "validation accuracy, %", base)


def computed(rows: pd.DataFrame) -> str:
    """How many of some runs computed on which device and in which precision, as text."""
    where = rows["machine.accelerator"].fillna("two cores")
    counted = (where + " (" + rows["precision"].fillna("not told") + ")").value_counts()
    return " and ".join(f"{n} on {each}" for each, n in counted.items())


def spelt(value: Any) -> str:
    """A lever's value in a table."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def changes(setting: Setting, base: Setting) -> str:
    """What a setting changes compared with its base, by the keys of its study."""
    ours, theirs = said(setting), said(base)
    set_here = [f"`{key}: {json.dumps(value)}`" for key, value in ours.items() if theirs.get(key) != value]
    return ", ".join([*set_here, *(f"no `{key}`" for key in theirs if key not in ours)])


def said(setting: Setting) -> dict[str, Any]:
    """The values that a setting sets, by the last part of their keys, which is unique."""
    shares = {name: getattr(setting, name) for name in ("student_share", "warmup_share", "closing_share")}
    distill = {key: value for key, value in setting.distill.items() if key != "student"}
    found = {"method": setting.method, **setting.synthesis, **distill, **setting.distill.get("student", {}), **shares}
    return {key: value for key, value in found.items() if value is not None}


if __name__ == "__main__":
    Page().write(PAGE)
