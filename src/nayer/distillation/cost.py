"""What the steps of a distillation cost on this machine, from a few real ones."""

import time
from collections.abc import Mapping
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from nayer.core.config import Config, Count
from nayer.distillation.build import build, build_method
from nayer.distillation.config import DistillConfig
from nayer.distillation.plan import Plan
from nayer.distillation.state import LoopState
from nayer.engine.recording import UNLIKE
from nayer.synthesis.method import TOTAL
from nayer.synthesis.registry import METHODS

FEW, MANY, ROUNDS = 1, 8, 2


class StepSeconds(Config):
    """Of one method on one pair."""

    few_steps: float
    """A batch with `few` steps of the search for it."""
    many_steps: float
    """A batch with `many`."""
    few: Count = FEW
    many: Count = MANY
    add: float
    """What it takes to put it into the memory."""
    student_step: float

    @property
    def synthesis_step(self) -> float:
        """One step of the search for a batch."""
        return max((self.many_steps - self.few_steps) / (self.many - self.few), 1e-6)

    def batch(self, steps: int) -> float:
        """A batch of so many steps, with its start, its end and its place in the memory."""
        return max(self.few_steps - self.few * self.synthesis_step, 0.0) + steps * self.synthesis_step + self.add


class Cost(StepSeconds):
    """Seconds, and counted GFLOP of a step."""

    start: float = 0.0
    """Before the first batch: the networks, and the student's start from its teacher."""
    synthesis_gflop: float
    student_gflop: float


def shortened(values: Mapping[str, Any]) -> DistillConfig:
    """A distillation of these parameters that does the same work in every step, for as short as can be measured."""
    synthesis, student = values["synthesis"], values["student"]
    turn = METHODS[synthesis["method"]].alternates
    return DistillConfig.model_validate(
        {
            **values,
            "warmup_epochs": 0 if turn else 1,
            "epochs": 1,
            "closing_epochs": 0,
            "memory": max(student["batch_size"], synthesis["batch_size"], values.get("leaves", 0)),
            "synthesis": {**synthesis, "batches": 1, "warmup_batches": 1},
        }
    )


def time_steps(plan: Plan, state: LoopState, many: int = MANY, rounds: int = ROUNDS) -> StepSeconds:
    """A few real steps, each kind in turns; the first round warms up and does not count. Changes the state."""
    method, student = build_method(plan, state.method.context.teacher), state.trainer.student
    method.start_epoch(plan.config.warmup_epochs)
    unlike = UNLIKE if method.context.recorder.on else 0
    few, many = FEW + unlike, many + unlike
    seconds: dict[str, list[float]] = {"few_steps": [], "many_steps": [], "add": [], "student_step": []}
    for _ in range(1 + rounds):
        for name, steps in (("few_steps", few), ("many_steps", many)):
            method.config = method.config.model_copy(update={"steps": steps})
            began = time.perf_counter()
            made = method.step(student)
            made.losses[TOTAL].item()  # waits for the device
            seconds[name].append(time.perf_counter() - began)
        began = time.perf_counter()
        state.add_batch(made)
        state.prediction_counts.tolist()  # waits for the device
        seconds["add"].append(time.perf_counter() - began)
        while len(state.memory) < min(plan.capacity, plan.config.student.batch_size):
            state.add_batch(made)
        for _ in range(1 + rounds + unlike):
            began = time.perf_counter()
            state.learn(plan.config.student).tolist()  # waits for the device
            seconds["student_step"].append(time.perf_counter() - began)
    # The least: what else goes on in a machine only ever adds.
    return StepSeconds(few=few, many=many, **{name: min(values[1:]) for name, values in seconds.items()})


def timed_build(plan: Plan) -> tuple[LoopState, float]:
    """The first state of the loop, and the seconds until teacher and student were ready for their first step."""
    began = time.perf_counter()
    state = build(plan)
    return state, time.perf_counter() - began


def measure(plan: Plan) -> Cost:
    """Of a plan that is not compiled: FLOP are counted operation by operation."""
    state, start = timed_build(plan)
    seconds = time_steps(plan, state)
    method, student = build_method(plan, state.method.context.teacher, FEW), state.trainer.student
    method.start_epoch(plan.config.warmup_epochs)
    with FlopCounterMode(display=False) as synthesis:
        method.step(student)
    state.recorder.on = False
    with FlopCounterMode(display=False) as learning:
        state.learn(plan.config.student)
    return Cost(
        **seconds.model_dump(),
        start=start,
        synthesis_gflop=synthesis.get_total_flops() / FEW / 1e9,
        student_gflop=learning.get_total_flops() / 1e9,
    )
