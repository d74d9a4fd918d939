"""A distillation that fills so many minutes of this machine.

The recipe is NAYER as published, but for what was seen to help in minutes (docs/results/minutes.md); its schedule comes
from what steps cost here. Both are written down once: from then on a run is as reproducible as any.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from math import ceil
from typing import Any

import torch

from nayer.core.errors import InputError
from nayer.core.formats import duration
from nayer.core.images import ImageSpec
from nayer.distillation.budget import Budget, counted_seconds, scaled, schedule_for, seconds_for
from nayer.distillation.build import build
from nayer.distillation.config import DistillConfig
from nayer.distillation.cost import (
    MANY,
    SLOW,
    StepSeconds,
    first_step,
    measuring_seconds,
    shortened,
    time_steps,
    timed_build,
)
from nayer.distillation.estimate import estimate_seconds
from nayer.distillation.plan import MIN_SHARE, Plan, plan
from nayer.engine.compilation import CannotCompile, compiling
from nayer.engine.config import RuntimeConfig
from nayer.engine.progress import Reporter
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier, freeze
from nayer.scenarios.rest import rest_seconds
from nayer.student.config import Start
from nayer.student.start import blank_student
from nayer.synthesis.registry import METHODS
from nayer.workflow.parameters import Parameters

STUDENT_SHARE, MOST_EPOCHS = 0.5, 60
# Of the images, those before the student learns: one that starts from its teacher knows something at once.
WARMUP_SHARE: dict[Start, float] = {"random": 0.25, "teacher": 0.08, "reconstructed": 0.08}
# Images of each class that a run should have at least.
ENOUGH = 10
# On what a first step says, for what is not measured yet.
MARGIN = 1.25
UNSTARTED: dict[str, Any] = {"synthesis": {}, "student": {"start": "random"}}
# Procedural pictures beside each image of a teacher without BatchNorm (docs/results/priors.md), and how many views of
# both are cached: the student sees so many pictures seldom.
LEAVES, VIEWS = 3, 2
# Of a student made of its teacher: any from 1 to 8 does (docs/results/records/2026-11-27-features.md).
FEATURE_WEIGHT = 3.0
# The student of a WRN, and of what has no half.
SMALL_WRN = "wrn-16-1"
# Images of a batch, fewer where they are large: a batch of conf/imagenet has as many pixels.
BATCH, MOST_PIXELS = 200, 48 * 224**2
# What distill.augmentation takes.
MOST_PADDING = 127
# Of every text encoder that comes with the project; other widths cost the same but for a percent.
EMBEDDING_WIDTH = 384


def recipe(images: ImageSpec, classes: int) -> dict[str, Any]:
    """NAYER for minutes; its schedule is a mere place holder."""
    batch = min(BATCH, max(MIN_SHARE, MOST_PIXELS // images.size**2))
    batch = batch // classes * classes or batch  # no set of classes is cut short
    return {
        "warmup_epochs": 1,
        "epochs": 1,
        "probe_images": batch,  # one batch: more would cost too much of a few minutes
        "augmentation": {"padding": min(MOST_PADDING, images.size // 8), "flip": True},
        "synthesis": {
            "method": "nayer",
            "batch_size": batch,
            "steps": 30,
            "batches": 1,
            "warmup_batches": 1,
            "generator_width": 32,
        },
        "student": {
            "architecture": SMALL_WRN,
            "batch_size": 64,
            "steps": 1,
            "learning_rate": 0.1,
            "temperature": 4.0,
            "cached_targets": 8,
        },
    }


def from_its_teacher(features: bool) -> dict[str, Any]:
    """What the recipe's student is set to where it is made of its teacher: a lower rate, which first rises.

    It is compared with its teacher by features, too, where both have some.
    """
    made = {"start": "reconstructed", "learning_rate": 0.05, "rise": 0.2}
    return made | {"feature_weight": FEATURE_WEIGHT} if features else made


@dataclass(frozen=True)
class Filling:
    """A distillation of so many classes that is to fill the minutes of a run."""

    minutes: float
    config: DistillConfig
    classes: int

    def batches(self, each: int) -> int:
        """Synthetic batches with so many images of each class, or the fewest that there can be."""
        fewest = 1 if METHODS[self.config.synthesis.method].alternates else 2
        return max(fewest, ceil(each * self.classes / self.config.synthesis.batch_size))

    def rest(self, beside: float, cost: StepSeconds) -> float:
        """Seconds of a run but for its schedule: those beside the distillation, its estimate and its probes."""
        probes = ceil(self.config.probe_images / self.config.synthesis.batch_size)
        return beside + estimate_seconds(self.config, cost) + probes * cost.batch(self.config.synthesis.steps)

    def needed(self, each: int, beside: float, cost: StepSeconds) -> float:
        """Minutes of a run with so many images of each class."""
        made = seconds_for(self.config, cost, STUDENT_SHARE, self.batches(each))
        return (self.rest(beside, cost) + made) / 60

    def check_first(self, beside: float, step: float) -> None:
        """Refuse by a first step what is clearly too little, before more of them are timed.

        Raises:
            InputError: not half of what is needed; a margin stands for what is not measured yet.
        """
        roughly = StepSeconds(few_steps=step, many_steps=MANY * step, add=step, student_step=0.0)
        needed = self.needed(1, beside, roughly)
        if 2 * self.minutes < needed:
            raise self.too_few(MARGIN * needed)

    def schedule(self, beside: float, cost: StepSeconds) -> dict[str, Any]:
        """What fits beside so many seconds of other work.

        Raises:
            InputError: not an image of each class.
        """
        needed = self.needed(1, beside, cost)
        if self.minutes < needed:
            raise self.too_few(needed)
        left, warmup = self.minutes - self.rest(beside, cost) / 60, WARMUP_SHARE[self.config.student.start]
        return schedule_for(self.config, cost, Budget(left, STUDENT_SHARE, cost.student_step, warmup, MOST_EPOCHS))

    def too_few(self, needed: float) -> InputError:
        """Where a run with an image of each class needs more."""
        images = self.batches(1) * self.config.synthesis.batch_size
        return InputError(
            f"MINUTES: {self.minutes:g}, but a run with the fewest images that make sense, {images:,} for "
            f"{self.classes:,} classes, takes about {needed:.0f} min here; give {ceil(needed)} or more."
        )


def fill(parameters: Parameters, teacher: Classifier, minutes: float, reporter: Reporter) -> dict[str, Any]:
    """The schedule with which a run of these parameters takes so many minutes, as they stand in `distill`.

    Raises:
        InputError: they are too few for it.
    """
    reporter.say(f"Measuring what steps cost on this machine, to fill {minutes:g} min ...")
    config, runtime, names = parameters.distill, parameters.runtime, teacher.class_names
    if (processes := runtime.processes * runtime.machines) > 1:
        reporter.say(
            f"One alone of {processes} processes (runtime.processes) is measured: a run of all takes other than that."
        )
    values = config.model_dump()
    table = LabelEmbeddings(torch.randn(len(names), EMBEDDING_WIDTH), names, "random", "", "unused")
    planned = partial(plan, freeze(teacher), table, runtime=runtime, seed=0)
    filling = Filling(minutes, config, len(names))
    # Steps cost the same wherever a student starts from, and that start may take minutes.
    made = planned(shortened(scaled(values, UNSTARTED)))
    beside = rest_seconds(parameters, (teacher, blank_student(teacher, config.student)), made.device)
    state = build(made)
    step = first_step(made, state)
    filling.check_first(beside, step)
    if step > SLOW:
        reporter.say(f"A step takes {duration(step)} here, so that measuring goes on for minutes ...")
    cost = time_steps(made, state, step)
    beside += timed_build(planned(shortened(values)))[1]
    schedule = filling.schedule(beside, cost)
    whole = planned(DistillConfig.model_validate(scaled(values, schedule)))
    if whole.compile and not made.compile:
        cost, compiling_seconds = time_compiled(made, cost, reporter)
        beside += compiling_seconds
        schedule = filling.schedule(beside, cost)
        whole = planned(DistillConfig.model_validate(scaled(values, schedule)))
    kept = max(made.capacity, most_images(whole, runtime))
    for line in told(filling, beside, cost, whole, kept):
        reporter.say(line)
    return schedule | ({"memory": kept} if kept < whole.capacity else {})


def told(filling: Filling, beside: float, cost: StepSeconds, whole: Plan, kept: int) -> Iterator[str]:
    """The schedule in numbers; how many minutes would make enough images; and how many of them are kept."""
    schedule, config = whole.schedule, filling.config
    promised = counted_seconds(whole.config.model_dump(), cost, schedule.total_epochs)
    yield (
        f"A synthesis step of {schedule.batch_size} images takes {cost.synthesis_step:.2f} s, a student step of "
        f"{config.student.batch_size} {cost.student_step:.3f} s: {schedule.images:,} images and "
        f"{schedule.epochs * schedule.student_steps:,} student steps in {duration(promised)}, and "
        f"{duration(filling.rest(beside, cost))} for the rest of a run."
    )
    enough = filling.needed(ENOUGH, beside, cost)
    if filling.minutes < enough:
        each = schedule.images / filling.classes
        yield f"{each:.1f} images of each class are few: MINUTES={ceil(enough)} would make {ENOUGH}."
    if kept < whole.capacity:
        yield (
            f"Of its {whole.capacity:,} images the memory keeps the newest {kept:,} (distill.memory): "
            "runtime.memory_gib holds no more, and with images on disk steps would be several times as slow."
        )


def most_images(whole: Plan, runtime: RuntimeConfig) -> int:
    """Those of its memory that need not lie on disk: a GPU's steps would be slow, and several processes refuse it.

    A CPU's are not: the system keeps such a file in its memory.
    """
    processes = runtime.processes * runtime.machines
    if processes == 1 and whole.device.type == "cpu":
        return whole.capacity
    share = processes * runtime.memory_gib / (whole.image_gib + whole.target_gib)
    return min(whole.capacity, int(whole.capacity * share) // processes * processes)


def time_compiled(made: Plan, cost: StepSeconds, reporter: Reporter) -> tuple[StepSeconds, float]:
    """What steps cost when compiled, and the seconds that compiling takes; as before where nothing can be compiled."""
    reporter.say("A run of that length compiles its networks: measuring that, which takes a minute or two ...")
    made = replace(made, compile=True)
    state = build(made)
    began = time.monotonic()
    try:
        with compiling():
            compiled = time_steps(made, state, first_step(made, state))
    except CannotCompile:
        return cost, 0.0
    return compiled, max(0.0, time.monotonic() - began - measuring_seconds(made.config, compiled))
