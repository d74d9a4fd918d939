"""Turns a budget in minutes into a method's schedule, from what its steps cost on this machine."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from nayer.core.errors import InputError
from nayer.distillation.config import DistillConfig
from nayer.distillation.cost import StepSeconds
from nayer.synthesis.registry import method_of


@dataclass(frozen=True)
class Budget:
    """Time budget that all methods on one pair of teacher and student get alike."""

    minutes: float
    student_share: float
    student_step: float
    """Seconds of the reference method's student step, so that all methods with a memory take equally many steps."""
    warmup_share: float
    epochs: int
    """Largest number of epochs that make images after the warm-up."""
    closing_share: float = 0.0
    """Share of the student's steps that come after the last image is made."""

    @property
    def student_steps(self) -> int:
        """Student steps that fit into the student's share of the minutes."""
        return max(1, int(60 * self.minutes * self.student_share / self.student_step))


def schedule_for(config: DistillConfig, cost: StepSeconds, budget: Budget) -> dict[str, Any]:
    """Schedule parameters that fill the budget, nested as they are in `distill`.

    Raises:
        InputError: the budget is too short for one batch in the warm-up and one after it or, for a method that
            alternates, for one turn.
    """
    turn = method_of(config.synthesis).alternates
    seconds = 60 * budget.minutes
    if turn:
        turns = int(seconds / (cost.batch(config.synthesis.steps) + turn * cost.student_step))
        if not turns:
            raise InputError(
                f"distill.synthesis: one batch and the student's {turn} steps after it take longer than the "
                f"{seconds:.0f} s available; take a smaller batch_size, or more minutes."
            )
        batches = ceil(turns / budget.epochs)
        warmup, closing, epochs, steps = 0, 0, turns // batches, batches * turn
    else:
        left = seconds - budget.student_steps * cost.student_step
        made = int(left / cost.batch(config.synthesis.steps))
        if made < 2:
            raise InputError(
                f"distill.synthesis.steps: a batch of {config.synthesis.steps} steps takes "
                f"{cost.batch(config.synthesis.steps):.0f} s, and synthesis has {left:.0f} s: "
                "too little for two; take fewer steps, or more minutes."
            )
        warmup = min(made - 1, max(1, round(made * budget.warmup_share)))
        batches = ceil((made - warmup) / budget.epochs)
        epochs = (made - warmup) // batches
        warmup = made - epochs * batches  # batches that do not fill an epoch are added to the warm-up
        closing = round(epochs * budget.closing_share / (1 - budget.closing_share))
        steps = max(1, budget.student_steps // (epochs + closing))
    return {
        "warmup_epochs": int(warmup > 0),
        "epochs": epochs + closing,
        "closing_epochs": closing,
        "synthesis": {"batches": batches, "warmup_batches": max(1, warmup)},
        "student": {"steps": steps},
    }


def seconds_for(config: DistillConfig, cost: StepSeconds, student_share: float, batches: int) -> float:
    """Least number of seconds that a budget needs for so many synthetic batches."""
    made = batches * cost.batch(config.synthesis.steps)
    if turn := method_of(config.synthesis).alternates:
        return made + batches * turn * cost.student_step
    return max(made / (1 - student_share), made + cost.student_step)


def scaled(values: dict[str, Any], schedule: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a distillation, with those of a schedule replacing their own."""
    return {
        **values,
        **schedule,
        "synthesis": {**values["synthesis"], **schedule["synthesis"]},
        "student": {**values["student"], **schedule["student"]},
    }


def counted_seconds(parameters: dict[str, Any], cost: StepSeconds, epoch: int) -> float:
    """Seconds that the batches and steps of a distillation cost up to the end of an epoch, counted from 1.

    Computed for a machine that does nothing else, so that curves compare whatever ran beside them.
    """
    synthesis, warmup = parameters["synthesis"], parameters["warmup_epochs"]
    learnt = max(0, epoch - warmup)
    making = min(learnt, parameters["epochs"] - parameters["closing_epochs"])
    batches = min(epoch, warmup) * synthesis["warmup_batches"] + making * synthesis["batches"]
    seconds: float = (
        batches * cost.batch(synthesis["steps"]) + learnt * parameters["student"]["steps"] * cost.student_step
    )
    return seconds
