"""Configuration of a study: teachers, pairs, settings of methods, and which of them run how long with which seeds."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from omegaconf import OmegaConf
from pydantic import Field, model_validator

from harness.scenario import parameters
from harness.teachers import TeacherSpec
from nayer.core.config import Config, Count, Fraction, Rate, Text
from nayer.distillation.config import DistillConfig
from nayer.lte.config import LteConfig
from nayer.scenarios.method import by_method
from nayer.synthesis.registry import METHODS

Changes = dict[str, Any]
# Keys whose value does not change how long a step takes; of a weight, only whether it is 0 matters (see `busy`).
IDLE = {"steps", "betas", "generator_life", "rise", "start", "temperature", "momentum", "bn_momentum", "weight_decay"}
IDLE |= {"learning_rate", "final_learning_rate", "input"}
Baseline = Literal["real", "kd_real", "kd_noise"]


class Pair(Config):
    """A teacher and what every method shares when a student learns from it."""

    teacher: Text
    """Name of a teacher in the study."""
    distill: Changes = Field(default_factory=dict)
    """Changes to the distillation of the teacher's scenario, for all methods alike."""
    student_share: Fraction = 0.5
    """Share of the minutes for the student's steps, the rest for synthesis; alternating methods share as published."""
    warmup_share: Fraction = 0.25
    """Share of the images made before the student learns."""
    epochs: Count = 30
    """Largest number of epochs; fewer where a method makes fewer batches."""


class Setting(Config):
    """A method as published with some changes, or a baseline, or (with neither) the scenario's own recipe."""

    method: Text | None = None
    baseline: Baseline | None = None
    like: Text | None = None
    """For a baseline: the setting whose student it trains, for as many steps; null takes the study's reference."""
    synthesis: Changes = Field(default_factory=dict)
    distill: Changes = Field(default_factory=dict)
    lte: Changes = Field(default_factory=dict)
    student_share: Fraction | None = None
    """Share of the minutes for the student's steps; null takes the pair's."""
    warmup_share: Fraction | None = None
    """Share of the images made before the student learns; null takes the pair's."""
    closing_share: Annotated[float, Field(ge=0, le=0.95)] = 0.0
    """Share of the student's steps that follow after the last image is made."""

    @model_validator(mode="after")
    def not_both(self) -> "Setting":
        """Reject a method together with a baseline."""
        if self.method and self.baseline:
            raise ValueError("give a method or a baseline")
        return self


class Group(Config):
    """Runs that belong together."""

    pair: Text
    minutes: list[Rate] | None = None
    """Minutes of machine time, to run each, for synthesis and student steps together; null: the scenario's schedule."""
    seeds: Annotated[list[int], Field(min_length=1)]
    settings: list[Text]
    """Settings that run with every seed."""
    twice: list[Text] = Field(default_factory=list)
    """Settings that run with the first two seeds only: large differences need no third."""
    once: list[Text] = Field(default_factory=list)
    """Settings that run with the first seed only, to see whether they are worth more."""
    test: bool = True
    """Whether to judge by test images after the last epoch; groups that serve a choice take validation images."""

    @model_validator(mode="after")
    def each_is_there_once(self) -> "Group":
        """Require at least one setting, and none of them twice."""
        if not self.all_settings or len(set(self.all_settings)) < len(self.all_settings):
            raise ValueError("settings, twice and once name at least one setting, and none of them again")
        return self

    @property
    def all_settings(self) -> list[str]:
        """Settings of every seed, then those of some seeds."""
        return [*self.settings, *self.twice, *self.once]

    def settings_of(self, seed: int) -> list[str]:
        """The settings that run with a seed."""
        place = self.seeds.index(seed)
        return [*self.settings, *(self.twice if place < 2 else []), *(self.once if place < 1 else [])]


class Range(Config):
    """Values of a lever between two bounds."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def in_order(self) -> "Range":
        """Require the lower bound to be smaller, and positive for a logarithmic range."""
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low lies below high, and above 0 if log is true")
        return self


class Search(Config):
    """Levers that are chosen together, on validation images, at equal time."""

    pair: Text
    base: Text
    """The setting whose levers are chosen; its own values are tried first."""
    minutes: Rate
    seed: int
    trials: Count
    space: Annotated[dict[str, list[Any] | Range], Field(min_length=1)]
    """For each dotted key of a setting, such as distill.student.learning_rate, its possible values or their range."""


class Run(Config):
    """One run of a study."""

    group: Text
    pair: Text
    setting: Text
    minutes: Rate | None
    seed: int
    test: bool

    @property
    def key(self) -> str:
        """Name of the run, for people and files."""
        time = "own" if self.minutes is None else f"{self.minutes:g}min"
        return f"{self.group}-{self.pair}-{self.setting}-{time}-s{self.seed}"


def synthesis_work(setting: Setting) -> tuple[Any, ...]:
    """What decides how long a synthesis step takes; not the number of steps, learning rates and the prompt."""
    lte = {key: value for key, value in setting.lte.items() if key != "prompt"}
    shared = {key: value for key, value in setting.distill.items() if key != "student"}
    student = setting.distill.get("student", {}).get("architecture")
    return setting.method, busy(setting.synthesis), busy(shared), student, lte


def student_work(setting: Setting) -> tuple[Any, ...]:
    """What decides how long a student step takes; the method does so only if it alternates."""
    alternating = setting.method if setting.method and METHODS[setting.method].alternates else None
    return alternating, busy(
        {key: value for key, value in setting.distill.items() if key not in ("leaves", "leaves_steps")}
    )


WORK: dict[str, Callable[[Setting], tuple[Any, ...]]] = {"synthesis": synthesis_work, "student": student_work}


def busy(changes: Changes) -> Changes:
    """Those of some changes that affect how long a step takes."""
    found: Changes = {}
    for key, value in changes.items():
        if key in IDLE or (key.endswith("_weight") and value):
            continue
        kept = busy(value) if isinstance(value, dict) else value
        if kept != {}:
            found[key] = kept
    return found


class Study(Config):
    """A study, as a YAML file of `benchmarks/studies` describes it."""

    name: Annotated[Text, Field(pattern=r"^[a-z0-9_-]+$")]
    results: Text
    """Folder, within the project, for the table and what is made from it."""
    reference: Text | None = None
    """The setting whose student step says how many steps the student's share of the minutes buys, for all methods;
    null takes each setting's own, for studies whose settings change the student's steps."""
    teachers: dict[str, TeacherSpec]
    pairs: dict[str, Pair]
    settings: dict[str, Setting]
    groups: dict[str, Group]
    searches: dict[str, Search] = Field(default_factory=dict)

    @model_validator(mode="after")
    def names_are_known(self) -> "Study":
        """Require that every name in use is defined."""
        used = {
            "teachers": [pair.teacher for pair in self.pairs.values()],
            "pairs": [group.pair for group in self.groups.values()]
            + [search.pair for search in self.searches.values()],
            "settings": [each for group in self.groups.values() for each in group.all_settings]
            + [search.base for search in self.searches.values()]
            + [each for each in (self.reference, *(setting.like for setting in self.settings.values())) if each],
        }
        for place, names in used.items():
            if unknown := [name for name in names if name not in getattr(self, place)]:
                raise ValueError(f"{place}: there is no '{unknown[0]}'")
        for name in {run.setting for run in self.runs() if run.minutes}:
            if self.settings[name].baseline and not self.like(name):
                raise ValueError(f"settings.{name}: a baseline takes as many steps as a setting; name one by like")
        return self

    def like(self, setting: str) -> str | None:
        """The setting whose student is trained: this one or, for a baseline, another; None if there is none."""
        chosen = self.settings[setting]
        return (chosen.like or self.reference) if chosen.baseline else setting

    @classmethod
    def read(cls, file: Path) -> "Study":
        """Read a study from YAML; OmegaConf resolves references between its parts."""
        return cls.model_validate(OmegaConf.to_container(OmegaConf.load(file), resolve=True))

    def runs(self) -> list[Run]:
        """All runs, seed by seed, so that a queue that ends early has compared all methods on the first seed."""
        found = []
        for name, group in self.groups.items():
            for minutes, seed in product(group.minutes or (None,), group.seeds):
                found += [
                    Run(group=name, pair=group.pair, setting=setting, minutes=minutes, seed=seed, test=group.test)
                    for setting in group.settings_of(seed)
                ]
        return found

    def timed_runs(self) -> list[Run]:
        """Runs whose steps must be timed: for each run with minutes, those of its own setting and of the reference."""
        found = []
        for run in self.runs():
            if run.minutes:
                names = {self.reference, self.like(run.setting)} - {None}
                found += [run.model_copy(update={"setting": name}) for name in sorted(map(str, names))]
        return found

    def cost_names(self, pair: str, setting: str) -> dict[str, str]:
        """Name of the measured cost of each kind of step; settings whose steps of a kind do the same work share it."""
        names = {
            kind: f"{kind}, {pair} {next(name for name, each in self.settings.items() if work(each) == wanted)}"
            for kind, work in WORK.items()
            for wanted in [work(self.settings[setting])]
        }
        takes_time = self.distillation(pair, setting)["student"]["start"] == "reconstructed"
        return names | ({"start": f"start, {pair}"} if takes_time else {})

    def teacher(self, run: Run) -> tuple[str, TeacherSpec]:
        """Name and specification of a run's teacher."""
        name = self.pairs[run.pair].teacher
        spec = self.teachers[name]
        return (
            (name, spec)
            if spec.seed is not None
            else (
                f"{name}-s{run.seed}",
                spec.model_copy(update={"seed": run.seed}),
            )
        )

    def scenario(self, pair: str) -> str:
        """Scenario of a pair's teacher."""
        return self.teachers[self.pairs[pair].teacher].scenario

    def distillation(self, pair: str, setting: str) -> dict[str, Any]:
        """The parameters of a distillation, with the scenario's own schedule."""
        chosen, common = self.settings[setting], self.pairs[pair].distill
        values = parameters(self.scenario(pair), "distill")
        if chosen.method:
            values = by_method(chosen.method, values)
        merged = OmegaConf.merge(values, common, chosen.distill, {"synthesis": chosen.synthesis})
        checked: Any = DistillConfig.model_validate(OmegaConf.to_container(merged))
        return {**checked.model_dump(), "synthesis": checked.synthesis.model_dump()}

    def lte(self, pair: str, setting: str) -> LteConfig:
        """Configuration of a setting's text encoder."""
        return LteConfig.model_validate({**parameters(self.scenario(pair), "lte"), **self.settings[setting].lte})
