"""A distillation that fills so many minutes of this machine.

The recipe is NAYER as published, but for what was seen to help in minutes (docs/results/minutes.md); its schedule comes
from what steps cost here. Both are written down once: from then on a run is as reproducible as any.
"""

import time
from dataclasses import replace
from math import ceil
from typing import Any

import torch

from nayer import datasets
from nayer.core.errors import InputError
from nayer.core.formats import duration
from nayer.core.images import ImageSpec
from nayer.distillation.budget import Budget, counted_seconds, scaled, schedule_for
from nayer.distillation.build import build
from nayer.distillation.config import DistillConfig
from nayer.distillation.cost import StepSeconds, shortened, time_steps, timed_build
from nayer.distillation.plan import Plan, pixels_of, plan, schedule_of
from nayer.engine.compilation import CannotCompile, compiling
from nayer.engine.config import RuntimeConfig
from nayer.engine.device import resolve_compile
from nayer.engine.progress import Reporter
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier, freeze
from nayer.models.inference import predict
from nayer.student.config import Start
from nayer.workflow.parameters import Parameters

# Of a run, for its start, the text encoder, figures and the report.
OVERHEAD_SECONDS = 25
STUDENT_SHARE, MOST_EPOCHS = 0.5, 60
# Of the images, those before the student learns: one that starts from its teacher knows something at once.
WARMUP_SHARE: dict[Start, float] = {"random": 0.25, "teacher": 0.08, "reconstructed": 0.08}
# Procedural pictures beside each image of a teacher without BatchNorm (docs/results/priors.md), and how many views of
# both are cached: the student sees so many pictures seldom.
LEAVES, VIEWS = 3, 2
# The student of a WRN, and of what has no half.
SMALL_WRN = "wrn-16-1"
# Images of a batch, fewer where they are large: a batch of conf/imagenet has as many pixels.
BATCH, MOST_PIXELS = 200, 48 * 224**2
# Of every text encoder that comes with the project; other widths cost the same but for a percent.
EMBEDDING_WIDTH = 384


def recipe(images: ImageSpec, classes: int) -> dict[str, Any]:
    """NAYER for minutes; its schedule is a mere place holder."""
    batch = min(BATCH, max(1, MOST_PIXELS // images.size**2))
    batch = batch // classes * classes or batch  # no set of classes is cut short
    return {
        "warmup_epochs": 1,
        "epochs": 1,
        "probe_images": batch,  # one batch: more would cost too much of a few minutes
        "augmentation": {"padding": images.size // 8, "flip": True},
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


def from_its_teacher() -> dict[str, Any]:
    """What the recipe's student is set to where it is made of its teacher: a lower rate, which first rises."""
    return {"start": "reconstructed", "learning_rate": 0.05, "rise": 0.2}


def fill(parameters: Parameters, teacher: Classifier, minutes: float, reporter: Reporter) -> dict[str, Any]:
    """The schedule with which a run of these parameters takes so many minutes, as they stand in `distill`.

    Raises:
        InputError: they are too few for it.
    """
    reporter.say(f"Measuring what steps cost on this machine, to fill {minutes:g} min ...")
    values = parameters.distill.model_dump() | {"synthesis": parameters.distill.synthesis.model_dump()}
    names = teacher.class_names
    table = LabelEmbeddings(torch.randn(len(names), EMBEDDING_WIDTH), names, "random", "", "unused")
    made = plan(freeze(teacher), table, shortened(values), parameters.runtime, seed=0)
    state, start = timed_build(made)
    cost = time_steps(made, state)
    beside = OVERHEAD_SECONDS + start + evaluation_seconds(parameters, teacher, made.device)
    schedule, rest = schedule_in(minutes, beside, parameters.distill, cost)
    if not made.compile and will_compile(parameters.runtime, made.device, scaled(values, schedule), teacher):
        cost, compiling_seconds = time_compiled(made, cost, reporter)
        schedule, rest = schedule_in(minutes, beside + compiling_seconds, parameters.distill, cost)
    filled = scaled(values, schedule)
    whole = schedule_of(DistillConfig.model_validate(filled))
    promised = counted_seconds(filled, cost, whole.total_epochs)
    reporter.say(
        f"A synthesis step of {whole.batch_size} images takes {cost.synthesis_step:.2f} s, a student step of "
        f"{parameters.distill.student.batch_size} {cost.student_step:.3f} s: {whole.images:,} images and "
        f"{whole.epochs * whole.student_steps:,} student steps in {duration(promised)}, and "
        f"{duration(rest)} for the rest of a run."
    )
    return schedule


def schedule_in(
    minutes: float, beside: float, config: DistillConfig, cost: StepSeconds
) -> tuple[dict[str, Any], float]:
    """What fits beside so many seconds of other work, and the seconds of that with the probes.

    Raises:
        InputError: nothing does.
    """
    probes = ceil(config.probe_images / config.synthesis.batch_size) * cost.batch(config.synthesis.steps)
    left = minutes - (beside + probes) / 60
    if left <= 0:
        raise InputError(
            f"MINUTES: {minutes:g}, but what a run does here beside the distillation takes "
            f"{duration(beside + probes)}; give more."
        )
    budget = Budget(left, STUDENT_SHARE, cost.student_step, WARMUP_SHARE[config.student.start], MOST_EPOCHS)
    return schedule_for(config, cost, budget), beside + probes


def will_compile(runtime: RuntimeConfig, device: torch.device, filled: dict[str, Any], teacher: Classifier) -> bool:
    """Whether the run itself will be long enough for that, though the measurement is not."""
    return resolve_compile(runtime, device, pixels_of(schedule_of(DistillConfig.model_validate(filled)), teacher))


def time_compiled(made: Plan, cost: StepSeconds, reporter: Reporter) -> tuple[StepSeconds, float]:
    """What steps cost when compiled, and the seconds that compiling took; as before where nothing can be compiled."""
    reporter.say("A run of that length compiles its networks: measuring that, which takes a minute or two ...")
    began = time.monotonic()
    made = replace(made, compile=True)
    try:
        with compiling():
            return time_steps(made, build(made)), time.monotonic() - began
    except CannotCompile:
        return cost, 0.0


def evaluation_seconds(parameters: Parameters, teacher: Classifier, device: torch.device) -> float:
    """Of teacher and student on the test images, taking the student for as slow as its teacher."""
    data, batch = parameters.data, parameters.evaluate.batch_size
    if data.dataset == datasets.NONE:
        return 0.0
    count = len(datasets.load(data).test.images)
    spec = teacher.images
    images = torch.zeros(batch, spec.channels, spec.size, spec.size, dtype=torch.uint8)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        predict(teacher, images, device, batch)
        seconds.append(time.perf_counter() - began)
    return 2 * count / batch * seconds[-1]
