"""The distillation loop: images from the synthesizer into the memory, from the memory into the student.

Nothing here can reach real data: what comes in is a teacher, a table of label embeddings, and parameters.
"""

import copy
import time
from dataclasses import dataclass

import torch

from nayer import ranks
from nayer.config import DistillConfig, RuntimeConfig
from nayer.errors import InputError
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.models.compilation import CannotCompile, compiling
from nayer.synthesis.memory import SyntheticSample
from nayer.training.device import waited
from nayer.training.distillation_setup import (
    STUDENT_FIGURES,
    SYNTHESIS_LOSSES,
    LoopState,
    Row,
    build,
    check,
    settled,
    share_of,
)
from nayer.training.estimate import estimate
from nayer.training.reporting import Reporter
from nayer.training.resume import ResumePoint


@dataclass(frozen=True)
class Distilled:
    """What comes out: the student of the last epoch, the history by epoch, synthetic images, the effort."""

    student: Classifier
    history: list[Row]
    sample: SyntheticSample
    """Some of the memory, that is of what the student learnt from."""
    held_out: SyntheticSample
    """What it never learnt from."""
    seconds: dict[str, float]
    images_made: int


def distill(
    teacher: Classifier,
    embeddings: LabelEmbeddings,
    config: DistillConfig,
    runtime: RuntimeConfig,
    seed: int,
    resume: ResumePoint,
    reporter: Reporter,
) -> Distilled:
    """NAYER, algorithm 1: epochs of synthesis and, after the warm-up, of distillation.

    As one of several processes (nayer.ranks) it does its share of every batch, and returns the common student; images
    are those of its own share.

    Raises:
        InputError: the inputs do not go together.
        Interrupted: stopped by a signal; the state is kept.
    """
    config = share_of(config, ranks.size())
    for warning in check(teacher, embeddings, config):
        reporter.say(f"Warning: {warning}")
    runtime = tried(teacher, embeddings, config, runtime, reporter)
    state = build(teacher, embeddings, config, runtime, seed)
    if resume.restore(state):
        reporter.say(resume.resumed_in(state.epoch, state.synthesizer.schedule.total_epochs))
    fit(state, config, resume, reporter)
    sample = state.memory.sample(config.memory_sample, len(teacher.class_names))
    images, labels = (torch.cat(parts)[: config.held_out].cpu() for parts in zip(*state.held_out, strict=True))
    student = copy.deepcopy(state.trainer.student.eval())  # not compiled
    # Every process kept BatchNorm statistics of its own views.
    ranks.average(each for each in student.network.buffers() if each.is_floating_point())
    made = state.memory.added * ranks.size()
    return Distilled(student, state.history, sample, SyntheticSample(images, labels), state.seconds, made)


def tried(
    teacher: Classifier, embeddings: LabelEmbeddings, config: DistillConfig, runtime: RuntimeConfig, reporter: Reporter
) -> RuntimeConfig:
    """Some steps on throw-away networks: tells what all will cost, and settles whether networks are compiled.

    Raises:
        InputError: that is asked for and cannot be.
    """
    found = settled(runtime, teacher, config)
    if found.compile:
        reporter.say("Compiling the networks, which takes a minute or two; runtime.compile=false does without.")
    try:
        with compiling():
            reporter.say(estimate(teacher, embeddings, config, found))
    except CannotCompile as error:
        if runtime.compile is True:
            raise InputError(
                f"runtime.compile: true, but that fails here ({error}); install a C++ compiler with Python's headers, "
                "or set false."
            ) from error
        reporter.say(f"Warning: nothing can be compiled ({error}); going on without, which takes longer")
        found = found.model_copy(update={"compile": False})
        reporter.say(estimate(teacher, embeddings, config, found))
    return found


def fit(state: LoopState, config: DistillConfig, resume: ResumePoint, reporter: Reporter) -> None:
    """The loop, from wherever `state` is to the last epoch."""
    schedule, device = state.synthesizer.schedule, state.memory.labels.device
    reporter.begin("distill", schedule.total_epochs, _done(state, config))
    with resume.stopping_safely():
        while state.epoch < schedule.total_epochs:
            warming_up = state.epoch < schedule.warmup_epochs
            batches, steps = schedule.batches_in(state.epoch), 0 if warming_up else config.student.steps
            if not state.begun:
                state.begin_epoch()

            while state.batch < batches:
                began = time.monotonic()
                made = state.synthesizer.step(state.trainer.student)
                if wrong := state.health.look_at_batch(made):
                    recover(state, wrong, reporter)
                else:
                    state.take_in(made)
                state.seconds["synthesis"] += time.monotonic() - began
                reporter.advance(_done(state, config), _last(state))
                resume.keep(state.state_dict)

            state.seconds["synthesis"] += waited(device)

            while state.step < steps:
                began = time.monotonic()
                state.student_sums += state.learn(config.student)
                state.step += 1
                state.seconds["student"] += time.monotonic() - began
                reporter.advance(_done(state, config), _last(state))
                resume.keep(state.state_dict)

            state.seconds["student"] += waited(device)

            row = _row(state, batches, steps)
            if steps and (wrong := state.health.look_at_student(row["kd_loss"], state.trainer)):
                reporter.say(f"Warning: epoch {row['epoch']}: {wrong}; it is learnt again at half the rate")
                state.step = 0
                state.student_sums.zero_()
                continue
            if wrong := state.health.look_at_answers(state.answered.tolist()):
                recover(state, wrong, reporter)
            state.history.append(row)
            reporter.epoch("distill", row["epoch"], {name: row[name] for name in row if name not in ("epoch", "phase")})
            state.epoch, state.batch, state.step, state.begun = state.epoch + 1, 0, 0, False

        while sum(len(labels) for _, labels in state.held_out) < config.held_out:
            made = state.synthesizer.step(state.trainer.student)
            if wrong := state.health.look_at_batch(made):
                recover(state, wrong, reporter)
            else:
                state.held_out.append((made.images, made.labels))
            resume.keep(state.state_dict)
        resume.keep(state.state_dict, finished=True)


def recover(state: LoopState, wrong: str, reporter: Reporter) -> None:
    """Another generator in place of one that is of no use."""
    reporter.say(f"Warning: epoch {state.epoch + 1}: {wrong}; a fresh generator takes over")
    state.synthesizer.recover()


def _row(state: LoopState, batches: int, steps: int) -> Row:
    """The means of a finished epoch, over all processes."""
    ranks.average([state.synthesis_sums, state.student_sums, state.answered])
    means = dict(zip(SYNTHESIS_LOSSES, (state.synthesis_sums / batches).tolist(), strict=True))
    figures = (state.student_sums / steps).tolist() if steps else [None] * len(STUDENT_FIGURES)
    return {
        "epoch": state.epoch + 1,
        "phase": "distillation" if steps else "warm-up",
        **means,
        **dict(zip(STUDENT_FIGURES, figures, strict=True)),
        "memory_images": len(state.memory) * ranks.size(),
        "learning_rate": state.trainer.schedule.get_last_lr()[0],
    }


def _done(state: LoopState, config: DistillConfig) -> float:
    """Epochs behind, with the share of this one; synthesis and student count alike within it."""
    schedule = state.synthesizer.schedule
    batches = schedule.batches_in(state.epoch)
    steps = config.student.steps if state.epoch >= schedule.warmup_epochs else 0
    work = batches * schedule.steps
    return state.epoch + (state.batch * schedule.steps + state.step) / (work + steps)


def _last(state: LoopState) -> str:
    """The newest figures, for the progress line."""
    if not state.history:
        return "epoch 1"
    row = state.history[-1]
    text = f"epoch {row['epoch']} ({row['phase']}): synthesis loss {row['synthesis_loss']:.3f}"
    if row["kd_loss"] is not None:
        text += f", student loss {row['kd_loss']:.2f}, agreement {row['agreement']:.1%}"
    return text
