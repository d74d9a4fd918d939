"""The distillation loop: images from the method into the memory, from the memory into the student.

Nothing here can reach real data: what comes in is a teacher, a table of label embeddings, and parameters.
"""

import copy
import time
from dataclasses import dataclass, replace

import torch

from nayer.core.errors import InputError
from nayer.core.formats import duration
from nayer.distillation.build import build
from nayer.distillation.estimate import estimate
from nayer.distillation.plan import Plan
from nayer.distillation.state import STUDENT_FIGURES, LoopState, Row
from nayer.engine import distributed
from nayer.engine.compilation import CannotCompile, compiling
from nayer.engine.device import seconds_to_synchronize
from nayer.engine.progress import Reporter
from nayer.engine.resume import ResumePoint
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL
from nayer.synthesis.sample import SyntheticSample


@dataclass(frozen=True, eq=False)
class Distilled:
    """What comes out: the student of the last epoch, the history by epoch, synthetic images, the effort."""

    student: Classifier
    history: list[Row]
    sample: SyntheticSample
    """Some of the memory, that is of what the student learnt from."""
    probes: SyntheticSample
    """What it never learnt from."""
    seconds: dict[str, float]
    images_made: int
    leaves: int
    """Procedural pictures beside them in the memory, as they came in."""


def distill(plan: Plan, resume: ResumePoint, reporter: Reporter) -> Distilled:
    """Epochs of synthesis and, after the warm-up, of distillation (arXiv 2310.00258, algorithm 1).

    As one of several processes (nayer.engine.distributed) it does its share of every batch, and returns the common
    student; images are those of its own share.

    Raises:
        InputError: compiling is asked for and cannot be.
        Interrupted: stopped by a signal; the state is kept.
        Stopped: it cannot go on; the last state stays.
    """
    for warning in plan.warnings:
        reporter.warn(warning)
    state = build_and_try(plan, reporter)
    if resume.restore(state):
        reporter.say(resume.resumed_in(state.epoch, plan.schedule.total_epochs))
    fit(state, plan, resume, reporter)
    return collect(state, plan)


def build_and_try(plan: Plan, reporter: Reporter) -> LoopState:
    """The first state of the loop, after some steps that tell what all will cost and whether networks can be compiled.

    Raises:
        InputError: compiling is asked for and cannot be.
    """
    if plan.compile:
        reporter.say("Compiling the networks, which takes a minute or two; runtime.compile=false does without.")
    state = build(plan)
    try:
        with compiling():
            reporter.say(estimate(plan, state))
    except CannotCompile as error:
        if plan.compile_or_fail:
            raise InputError(
                f"runtime.compile: true, but that fails here ({error}); install a C++ compiler with Python's headers, "
                "or set false."
            ) from error
        reporter.warn(f"nothing can be compiled ({error}); going on without, which takes longer")
        return build_and_try(replace(plan, compile=False), reporter)
    return state


def fit(state: LoopState, plan: Plan, resume: ResumePoint, reporter: Reporter) -> None:
    """The loop, from wherever `state` is to the last epoch and the probes after it."""
    schedule = plan.schedule
    reporter.begin("distill", schedule.total_epochs, _done(state, plan))
    with resume.stopping_safely():
        while state.epoch < schedule.total_epochs:
            if not state.begun:
                state.begin_epoch()
            while state.turn < schedule.turns_in(state.epoch):
                synthesise(state, plan, resume, reporter)
                teach(state, plan, resume, reporter)
                state.turn, state.batch, state.step = state.turn + 1, 0, 0
            finish_epoch(state, plan, reporter)
        make_probes(state, plan, resume, reporter)
        resume.keep(state.state_dict, finished=True)
    reporter.say(passed(state))


def passed(state: LoopState) -> str:
    """What the estimate can be compared with; of a run that was stopped and gone on with, all its parts."""
    synthesis, student = (duration(state.seconds[name]) for name in ("synthesis", "student"))
    whole = duration(sum(state.seconds.values()))
    return f"The distillation took {whole}: synthesis {synthesis}, student steps {student}."


def synthesise(state: LoopState, plan: Plan, resume: ResumePoint, reporter: Reporter) -> None:
    """The synthetic batches of this turn that are not made yet."""
    batches = plan.schedule.batches_in(state.epoch) // plan.schedule.turns_in(state.epoch)
    while state.batch < batches:
        began = time.monotonic()
        made = state.method.step(state.trainer.student)
        if wrong := state.health.check_batch(made):
            recover(state, wrong, reporter)
        else:
            state.add_batch(made)
        state.seconds["synthesis"] += time.monotonic() - began
        reporter.advance(_done(state, plan), _last(state))
        resume.keep(state.state_dict)
    state.seconds["synthesis"] += seconds_to_synchronize(plan.device)


def teach(state: LoopState, plan: Plan, resume: ResumePoint, reporter: Reporter) -> None:
    """The student steps of this turn that are not done yet."""
    steps = plan.schedule.student_steps_in(state.epoch) // plan.schedule.turns_in(state.epoch)
    while state.step < steps:
        began = time.monotonic()
        state.student_sums += state.learn(plan.config.student)
        state.step += 1
        state.seconds["student"] += time.monotonic() - began
        reporter.advance(_done(state, plan), _last(state))
        resume.keep(state.state_dict)
    state.seconds["student"] += seconds_to_synchronize(plan.device)


def finish_epoch(state: LoopState, plan: Plan, reporter: Reporter) -> None:
    """Write the epoch's row; a student that went astray learns the epoch again instead."""
    row = _row(state, plan)
    learnt = plan.schedule.student_steps_in(state.epoch) > 0
    if learnt and (wrong := state.health.check_student(row["kd_loss"], state.trainer)):
        reporter.warn(f"epoch {row['epoch']}: {wrong}; it is learnt again at half the rate")
        state.learn_again()
        return
    if wrong := state.health.check_predictions(state.prediction_counts.tolist()):
        recover(state, wrong, reporter)
    reporter.epoch("distill", row["epoch"], {name: row[name] for name in row if name not in ("epoch", "phase")})
    state.end_epoch(row)


def make_probes(state: LoopState, plan: Plan, resume: ResumePoint, reporter: Reporter) -> None:
    """Images that the student never learns from."""
    began = time.monotonic() - state.seconds["synthesis"]
    while sum(len(labels) for _, labels in state.probes) < plan.config.probe_images:
        made = state.method.step(state.trainer.student)
        if wrong := state.health.check_batch(made):
            recover(state, wrong, reporter)
        else:
            state.probes.append((made.images, made.labels))
        state.seconds["synthesis"] = time.monotonic() - began
        resume.keep(state.state_dict)


def recover(state: LoopState, wrong: str, reporter: Reporter) -> None:
    """Another generator in place of one that is of no use."""
    reporter.warn(f"epoch {state.epoch + 1}: {wrong}; a fresh generator takes over")
    state.method.recover()


def collect(state: LoopState, plan: Plan) -> Distilled:
    """What a finished loop hands on."""
    sample = state.memory.sample(plan.config.memory_sample, len(plan.teacher.class_names))
    images, labels = (torch.cat(parts)[: plan.config.probe_images].cpu() for parts in zip(*state.probes, strict=True))
    student = copy.deepcopy(state.trainer.student.eval())  # not compiled
    student.provenance = dict(plan.provenance)
    # Every process kept BatchNorm statistics of its own views.
    distributed.average(each for each in student.network.buffers() if each.is_floating_point())
    made = plan.schedule.images * distributed.size()
    leaves = made // plan.schedule.batch_size * plan.config.leaves
    return Distilled(student, state.history, sample, SyntheticSample(images, labels), state.seconds, made, leaves)


def _row(state: LoopState, plan: Plan) -> Row:
    """The means of a finished epoch, over all processes."""
    distributed.average([state.synthesis_sums, state.student_sums, state.prediction_counts])
    batches, steps = plan.schedule.batches_in(state.epoch), plan.schedule.student_steps_in(state.epoch)
    losses = (state.synthesis_sums / batches).tolist() if batches else [None] * len(state.loss_names)
    figures = (state.student_sums / steps).tolist() if steps else [None] * len(STUDENT_FIGURES)
    return {
        "epoch": state.epoch + 1,
        "phase": ("distillation" if batches else "closing") if steps else "warm-up",
        **dict(zip(state.loss_names, losses, strict=True)),
        **dict(zip(STUDENT_FIGURES, figures, strict=True)),
        "memory_images": len(state.memory) * distributed.size(),
        "learning_rate": state.trainer.schedule.get_last_lr()[0],
    }


def _done(state: LoopState, plan: Plan) -> float:
    """Epochs behind, with the share of this one; synthesis and student count alike within it."""
    schedule, epoch = plan.schedule, state.epoch
    if epoch == schedule.total_epochs:
        return float(epoch)
    turns, work, steps = schedule.turns_in(epoch), schedule.batches_in(epoch), schedule.student_steps_in(epoch)
    batches_done = state.turn * work // turns + state.batch
    steps_done = state.turn * steps // turns + state.step
    each = max(1, schedule.steps)
    return epoch + (batches_done * each + steps_done) / (work * each + steps)


def _last(state: LoopState) -> str:
    """The newest figures, for the progress line."""
    if not state.history:
        return "epoch 1"
    row = state.history[-1]
    text = f"epoch {row['epoch']} ({row['phase']})"
    if row[TOTAL] is not None:
        text += f": synthesis loss {row[TOTAL]:.3f}"
    if row["kd_loss"] is not None:
        text += f", student loss {row['kd_loss']:.2f}, agreement {row['agreement']:.1%}"
    return text
