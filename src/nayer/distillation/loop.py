"""The distillation loop: the method fills the memory with images, and the student learns from the memory.

Nothing here can reach real data: the inputs are a teacher, a table of label embeddings, and parameters.
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
    """Result of a distillation: the student of the last epoch, the history by epoch, synthetic images, and the cost."""

    student: Classifier
    history: list[Row]
    sample: SyntheticSample
    """Some of the newest images in the memory, which the student learnt from."""
    probes: SyntheticSample
    """Synthetic images that the student never learnt from."""
    seconds: dict[str, float]
    images_made: int
    leaves: int
    """Number of leaves that were added to the memory beside the synthetic images."""


def distill(plan: Plan, resume: ResumePoint, reporter: Reporter) -> Distilled:
    """Run the epochs of synthesis and, after the warm-up, of distillation (arXiv 2310.00258, algorithm 1).

    As one of several processes (nayer.engine.distributed) it does its share of every batch. It returns the student
    that all have in common, but the images of its own share only.

    Raises:
        InputError: compiling is asked for and cannot be.
        Interrupted: stopped by a signal; the state is kept.
        Stopped: the run cannot go on; the last state stays.
    """
    for warning in plan.warnings:
        reporter.warn(warning)
    state = build_and_try(plan, reporter)
    if resume.restore(state):
        reporter.say(resume.resumed_in(state.epoch, plan.schedule.total_epochs))
    fit(state, plan, resume, reporter)
    return collect(state, plan)


def build_and_try(plan: Plan, reporter: Reporter) -> LoopState:
    """Build the loop's first state and run a few trial steps, which give the estimate and try the compiler.

    Raises:
        InputError: compiling is asked for and cannot be.
    """
    if plan.compile:
        reporter.say("Compiling the networks, which takes a minute or two; runtime.compile=false skips it.")
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
        reporter.warn(f"nothing can be compiled ({error}); going on uncompiled, which is slower")
        return build_and_try(replace(plan, compile=False), reporter)
    return state


def fit(state: LoopState, plan: Plan, resume: ResumePoint, reporter: Reporter) -> None:
    """Run the loop from wherever `state` is to the last epoch, then make the probes."""
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
    """The time taken, in a sentence to compare with the estimate; it includes the parts before any interruption."""
    synthesis, student = (duration(state.seconds[name]) for name in ("synthesis", "student"))
    whole = duration(sum(state.seconds.values()))
    return f"The distillation took {whole}: synthesis {synthesis}, student steps {student}."


def synthesise(state: LoopState, plan: Plan, resume: ResumePoint, reporter: Reporter) -> None:
    """Make the synthetic batches still missing in this turn."""
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
    """Take the student steps still missing in this turn."""
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
    """Add the epoch's row to the history, or have a student that diverged learn the epoch again."""
    row = _row(state, plan)
    learnt = plan.schedule.student_steps_in(state.epoch) > 0
    if learnt and (wrong := state.health.check_student(row["kd_loss"], state.trainer)):
        reporter.warn(f"epoch {row['epoch']}: {wrong}; the epoch repeats at half the rate")
        state.learn_again()
        return
    if not state.method.draws and (wrong := state.health.check_predictions(state.prediction_counts.tolist())):
        recover(state, wrong, reporter)
    reporter.epoch("distill", row["epoch"], {name: row[name] for name in row if name not in ("epoch", "phase")})
    state.end_epoch(row)


def make_probes(state: LoopState, plan: Plan, resume: ResumePoint, reporter: Reporter) -> None:
    """Make the probes, images that the student never learns from."""
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
    """Warn, and replace a failed generator by a fresh one."""
    reporter.warn(f"epoch {state.epoch + 1}: {wrong}; a fresh generator takes over")
    state.method.recover()


def collect(state: LoopState, plan: Plan) -> Distilled:
    """Collect the result of a finished loop."""
    sample = state.memory.sample(plan.config.memory_sample, len(plan.teacher.class_names))
    images, labels = (torch.cat(parts)[: plan.config.probe_images].cpu() for parts in zip(*state.probes, strict=True))
    student = copy.deepcopy(state.trainer.student.eval())  # not compiled
    student.provenance = dict(plan.provenance)
    # Each process has BatchNorm statistics of its own views.
    distributed.average(each for each in student.network.buffers() if each.is_floating_point())
    made = plan.schedule.images * distributed.size()
    leaves = made // plan.schedule.batch_size * plan.config.leaves
    return Distilled(student, state.history, sample, SyntheticSample(images, labels), state.seconds, made, leaves)


def _row(state: LoopState, plan: Plan) -> Row:
    """History row of a finished epoch: means over all processes."""
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
    """Epochs done, plus the fraction of the current one, in which synthesis and student steps count alike."""
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
