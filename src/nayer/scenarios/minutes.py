"""A distillation with a schedule that fills a given number of minutes on this machine.

The recipe is NAYER as published, except for what was seen to help in short runs (docs/results/minutes.md); its schedule
follows from the measured cost of steps. Both are written down once, so that a run is as reproducible as any other.
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
# Share of the images made in the warm-up: less for a student that starts from its teacher and knows something at once.
WARMUP_SHARE: dict[Start, float] = {"random": 0.25, "teacher": 0.08, "reconstructed": 0.08}
# Images of each class that a run should make at least; with fewer, the user gets a note.
ENOUGH = 10
# Factor on an estimate from the first step alone, for what is not measured yet.
MARGIN = 1.25
# Seconds of a schedule from which compiling, which takes a minute or more, may save as many.
LEAST_COMPILED = 240.0
UNSTARTED: dict[str, Any] = {"synthesis": {}, "student": {"start": "random"}}
# Leaves beside each synthetic image for a teacher without BatchNorm (docs/results/priors.md), and cached views of both:
# few, because with so many pictures the student sees each one seldom.
LEAVES, VIEWS = 3, 2
# For a student that starts from its teacher: any value from 1 to 8 works (docs/results/records/2026-11-27-features.md).
FEATURE_WEIGHT = 3.0
# Student of a WRN, and of a teacher of which no half is known.
SMALL_WRN = "wrn-16-1"
# Images of a batch, and the most pixels of one, those of a batch of conf/imagenet: with large images it is smaller.
BATCH, MOST_PIXELS = 200, 48 * 224**2
# Largest padding that distill.augmentation accepts.
MOST_PADDING = 127
# Width of the embeddings of every bundled text encoder; with other widths, costs differ by about a percent.
EMBEDDING_WIDTH = 384


def recipe(images: ImageSpec, classes: int) -> dict[str, Any]:
    """NAYER's recipe for runs of some minutes; its schedule is a placeholder."""
    batch = min(BATCH, max(MIN_SHARE, MOST_PIXELS // images.size**2))
    batch = batch // classes * classes or batch  # only whole sets of all classes, where one fits
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
    """Parameters of the recipe's student if it starts from its teacher: a lower learning rate, which first rises.

    With `features`, student and teacher are compared by their features, too.
    """
    made = {"start": "reconstructed", "learning_rate": 0.05, "rise": 0.2}
    return made | {"feature_weight": FEATURE_WEIGHT} if features else made


@dataclass(frozen=True)
class Filling:
    """A distillation whose schedule is to fill the minutes of a run."""

    minutes: float
    config: DistillConfig
    classes: int

    def batches(self, each: int) -> int:
        """Number of synthetic batches for `each` images per class, or the fewest that the method can have."""
        fewest = 1 if METHODS[self.config.synthesis.method].alternates else 2
        return max(fewest, ceil(each * self.classes / self.config.synthesis.batch_size))

    def rest(self, beside: float, cost: StepSeconds) -> float:
        """Seconds of a run outside its schedule: `beside` the distillation, its cost estimate and its probe images."""
        probes = ceil(self.config.probe_images / self.config.synthesis.batch_size)
        return beside + estimate_seconds(self.config, cost) + probes * cost.batch(self.config.synthesis.steps)

    def needed(self, each: int, beside: float, cost: StepSeconds) -> float:
        """Minutes that a run with `each` images per class takes."""
        made = seconds_for(self.config, cost, STUDENT_SHARE, self.batches(each))
        return (self.rest(beside, cost) + made) / 60

    def check_first(self, beside: float, step: float) -> None:
        """Refuse minutes that are clearly too few, judged by the seconds of one step, before more steps are timed.

        Raises:
            InputError: they are not half of what is needed; the message adds a margin for what is not measured yet.
        """
        roughly = StepSeconds(few_steps=step, many_steps=MANY * step, add=step, student_step=0.0)
        needed = self.needed(1, beside, roughly)
        if 2 * self.minutes < needed:
            raise self.too_few(MARGIN * needed)

    def schedule(self, beside: float, cost: StepSeconds) -> dict[str, Any]:
        """Schedule that fits into the minutes after `beside` seconds of other work.

        Raises:
            InputError: there is no time for one image of each class.
        """
        needed = self.needed(1, beside, cost)
        if self.minutes < needed:
            raise self.too_few(needed)
        left, warmup = self.minutes - self.rest(beside, cost) / 60, WARMUP_SHARE[self.config.student.start]
        return schedule_for(self.config, cost, Budget(left, STUDENT_SHARE, cost.student_step, warmup, MOST_EPOCHS))

    def too_few(self, needed: float) -> InputError:
        """Error that says how many minutes a run with one image of each class needs."""
        images = self.batches(1) * self.config.synthesis.batch_size
        return InputError(
            f"MINUTES: {self.minutes:g}, but a run with the fewest images that make sense, {images:,} for "
            f"{self.classes:,} classes, takes about {needed:.0f} min here; give {ceil(needed)} or more."
        )


def fill(
    parameters: Parameters, teacher: Classifier, minutes: float, reporter: Reporter
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Schedule with which a run of these parameters takes that many minutes, as parameters of `distill`.

    Also returns the parameters of `runtime` that it needs: compiling is turned off where it costs more than it saves.

    Raises:
        InputError: the minutes are too few.
    """
    reporter.say(f"Measuring what steps cost on this machine, to fill {minutes:g} min ...")
    config, runtime, names = parameters.distill, parameters.runtime, teacher.class_names
    if (processes := runtime.processes * runtime.machines) > 1:
        reporter.say(
            f"Only one of {processes} processes (runtime.processes) is measured: a run of all will differ in time."
        )
    values = config.model_dump()
    table = LabelEmbeddings(torch.randn(len(names), EMBEDDING_WIDTH), names, "random", "", "unused")
    planned = partial(plan, freeze(teacher), table, runtime=runtime, seed=0)
    filling = Filling(minutes, config, len(names))
    # Time a student with a random start: its steps cost the same, and making any other start may take minutes.
    # Not compiled at first, so that the seconds of compiling can be told apart below.
    made = replace(planned(shortened(scaled(values, UNSTARTED))), compile=False)
    beside = rest_seconds(parameters, (teacher, blank_student(teacher, config.student)), made.device)
    cost = time_uncompiled(made, filling, beside, reporter)
    beside += timed_build(planned(shortened(values)))[1]
    schedule = filling.schedule(beside, cost)
    whole = planned(DistillConfig.model_validate(scaled(values, schedule)))
    if pays := whole.compile and (whole.compile_or_fail or promised(whole, cost) > LEAST_COMPILED):
        compiled, compiling_seconds = time_compiled(made, cost, reporter)
        pays = whole.compile_or_fail or compiling_seconds + promised(whole, compiled) < promised(whole, cost)
        if pays:
            cost, beside = compiled, beside + compiling_seconds
            schedule = filling.schedule(beside, cost)
            whole = planned(DistillConfig.model_validate(scaled(values, schedule)))
        else:
            reporter.say("Not compiled: runtime.compile is false.")
    kept = max(made.capacity, most_images(whole, runtime))
    for line in told(filling, beside, cost, whole, kept):
        reporter.say(line)
    schedule |= {"memory": kept} if kept < whole.capacity else {}
    return schedule, {"compile": False} if whole.compile and not pays else {}


def promised(whole: Plan, cost: StepSeconds) -> float:
    """Seconds that the schedule's batches and steps take."""
    return counted_seconds(whole.config.model_dump(), cost, whole.schedule.total_epochs)


def told(filling: Filling, beside: float, cost: StepSeconds, whole: Plan, kept: int) -> Iterator[str]:
    """Messages: the schedule in numbers, the minutes that would make enough images, and how many images are kept."""
    schedule, config = whole.schedule, filling.config
    yield (
        f"A synthesis step of {schedule.batch_size} images takes {cost.synthesis_step:.2f} s, a student step of "
        f"{config.student.batch_size} {cost.student_step:.3f} s: {schedule.images:,} images and "
        f"{schedule.epochs * schedule.student_steps:,} student steps in {duration(promised(whole, cost))}, and "
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
    """Number of images that the memory can hold without a file on disk.

    With one, steps on a GPU would be slow, and several processes refuse it. A single process on a CPU has no limit: the
    operating system keeps such a file in its cache.
    """
    processes = runtime.processes * runtime.machines
    if processes == 1 and whole.device.type == "cpu":
        return whole.capacity
    share = processes * runtime.memory_gib / (whole.image_gib + whole.target_gib)
    return min(whole.capacity, int(whole.capacity * share) // processes * processes)


def time_uncompiled(made: Plan, filling: Filling, beside: float, reporter: Reporter) -> StepSeconds:
    """Cost of steps when nothing is compiled.

    Raises:
        InputError: the first step shows that the minutes are clearly too few.
    """
    state = build(made)
    step = first_step(made, state)
    filling.check_first(beside, step)
    if step > SLOW:
        reporter.say(f"A step takes {duration(step)} here, so measuring takes minutes ...")
    return time_steps(made, state, step)


def time_compiled(made: Plan, cost: StepSeconds, reporter: Reporter) -> tuple[StepSeconds, float]:
    """Cost of steps when compiled, and seconds that compiling takes; unchanged `cost` and 0 if compiling fails."""
    reporter.say("Measuring what steps cost when the networks are compiled, which takes a minute or more ...")
    made = replace(made, compile=True)
    state = build(made)
    began = time.monotonic()
    try:
        with compiling():
            compiled = time_steps(made, state, first_step(made, state))
    except CannotCompile as error:
        reporter.say(f"Nothing can be compiled here ({error}).")
        return cost, 0.0
    return compiled, max(0.0, time.monotonic() - began - measuring_seconds(made.config, compiled))
