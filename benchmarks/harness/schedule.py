"""A method's schedule for so many minutes of a machine, from what its steps cost there."""

import time
from dataclasses import dataclass
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from nayer.core.config import Config
from nayer.core.errors import InputError
from nayer.distillation.build import build, build_method
from nayer.distillation.config import DistillConfig
from nayer.distillation.plan import Plan
from nayer.synthesis.method import TOTAL
from nayer.synthesis.registry import method_of

FEW, MANY, ROUNDS = 1, 8, 2


class Cost(Config):
    """Seconds and counted GFLOP of one method on one pair."""

    few_steps: float
    """A batch with FEW steps of the search for it."""
    many_steps: float
    """A batch with MANY."""
    add: float
    """What it takes to put it into the memory."""
    student_step: float
    synthesis_gflop: float
    """Of one step."""
    student_gflop: float

    @property
    def synthesis_step(self) -> float:
        """One step of the search for a batch."""
        return max((self.many_steps - self.few_steps) / (MANY - FEW), 1e-6)

    @property
    def batch(self) -> float:
        """What a batch costs beside its steps: its start, its end, its place in the memory."""
        return max(self.few_steps - FEW * self.synthesis_step, 0.0) + self.add


def measure(plan: Plan) -> Cost:
    """A few real steps, each kind in turns; the first of each warms up and does not count."""
    state = build(plan)
    teacher, student = state.method.context.teacher, state.trainer.student
    few, many = (build_method(plan, teacher, steps) for steps in (FEW, MANY))
    seconds: dict[str, list[float]] = {"few_steps": [], "many_steps": [], "add": [], "student_step": []}
    for method in (few, many):
        method.start_epoch(plan.config.warmup_epochs)
    for _ in range(ROUNDS + 1):
        for name, method in (("few_steps", few), ("many_steps", many)):
            began = time.perf_counter()
            made = method.step(student)
            made.losses[TOTAL].item()  # waits for the device
            seconds[name].append(time.perf_counter() - began)
        began = time.perf_counter()
        state.add_batch(made)
        seconds["add"].append(time.perf_counter() - began)
        while len(state.memory) < min(plan.capacity, plan.config.student.batch_size):
            state.add_batch(made)
        for _ in range(FEW + ROUNDS):
            began = time.perf_counter()
            state.learn(plan.config.student).tolist()  # waits for the device
            seconds["student_step"].append(time.perf_counter() - began)
    with FlopCounterMode(display=False) as synthesis:
        few.step(student)
    with FlopCounterMode(display=False) as learning:
        state.learn(plan.config.student)
    return Cost(
        # The least: what else goes on in a machine only ever adds.
        **{name: min(values[1:]) for name, values in seconds.items()},
        synthesis_gflop=synthesis.get_total_flops() / FEW / 1e9,
        student_gflop=learning.get_total_flops() / 1e9,
    )


@dataclass(frozen=True)
class Budget:
    """What a pair gives to all methods alike."""

    minutes: float
    student_share: float
    student_step: float
    """Seconds of the reference's: so every method with a memory takes the same number of student steps."""
    warmup_share: float
    epochs: int

    @property
    def student_steps(self) -> int:
        """What the student's share buys."""
        return max(1, int(60 * self.minutes * self.student_share / self.student_step))


def scaled(values: dict[str, Any], cost: Cost, budget: Budget) -> dict[str, Any]:
    """The distillation `values`, its schedule such that it fills the budget.

    Raises:
        InputError: there is no time for one batch before the student learns and one after.
    """
    config = DistillConfig.model_validate(values)
    turn = method_of(config.synthesis).alternates
    seconds = 60 * budget.minutes
    if turn:
        turns = int(seconds / (cost.batch + config.synthesis.steps * cost.synthesis_step + turn * cost.student_step))
        epochs = min(budget.epochs, turns)
        warmup, batches, steps = 0, turns // epochs, turns // epochs * turn
    else:
        left = seconds - budget.student_steps * cost.student_step
        made = int(left / (cost.batch + config.synthesis.steps * cost.synthesis_step))
        if made < 2:
            raise InputError(
                f"distill.synthesis.steps: a batch of {config.synthesis.steps} steps takes "
                f"{cost.batch + config.synthesis.steps * cost.synthesis_step:.0f} s, and synthesis has {left:.0f} s: "
                "too little for two; take fewer steps, or more minutes."
            )
        warmup = max(1, round(made * budget.warmup_share))
        epochs = min(budget.epochs, made - warmup)
        batches = (made - warmup) // epochs
        warmup = made - epochs * batches
        steps = max(1, budget.student_steps // epochs)
    return {
        **values,
        "warmup_epochs": int(warmup > 0),
        "epochs": epochs,
        "synthesis": {**values["synthesis"], "batches": batches, "warmup_batches": max(1, warmup)},
        "student": {**values["student"], "steps": steps},
    }


def counted_seconds(parameters: dict[str, Any], cost: Cost, epoch: int) -> float:
    """What the batches and steps of a distillation up to the end of an epoch, counted from 1, cost.

    Of a machine that does nothing else, so that curves can be compared whatever went on beside their runs.
    """
    synthesis, warmup = parameters["synthesis"], parameters["warmup_epochs"]
    learnt = max(0, epoch - warmup)
    batches = min(epoch, warmup) * synthesis["warmup_batches"] + learnt * synthesis["batches"]
    batch = cost.batch + synthesis["steps"] * cost.synthesis_step
    seconds: float = batches * batch + learnt * parameters["student"]["steps"] * cost.student_step
    return seconds
