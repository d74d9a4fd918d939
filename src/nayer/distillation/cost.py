"""What the steps of a distillation cost on this machine, from a few real ones."""

import time
from collections.abc import Mapping
from math import ceil
from typing import Any

from nayer.core.config import Config, Count
from nayer.distillation.build import build, build_method
from nayer.distillation.config import DistillConfig
from nayer.distillation.plan import Plan
from nayer.distillation.state import LoopState
from nayer.engine import distributed
from nayer.engine.recording import UNLIKE
from nayer.synthesis.method import TOTAL, Method, SyntheticBatch
from nayer.synthesis.registry import METHODS

FEW, MANY, ROUNDS = 1, 8, 2
# Seconds from which a step is slow, and of the longer batch of such steps, which has two at least.
SLOW, LONGEST = 2.0, 30.0


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


def first_step(plan: Plan, state: LoopState) -> float:
    """Seconds of a batch of one step, the better of two, as the first warms up. Changes the state.

    Of several processes those of the slowest: all have to time as many steps.
    """
    method = begun(plan, state)
    seconds: list[float] = distributed.all_gather(min(timed_batch(method, state, FEW)[0] for _ in range(2)))
    return max(seconds)


def time_steps(plan: Plan, state: LoopState, step: float, many: int = MANY, rounds: int = ROUNDS) -> StepSeconds:
    """A few real steps, each kind in turns; fewer where one takes about so many seconds that all would take minutes.

    Changes the state.
    """
    method = begun(plan, state)
    unlike = UNLIKE if method.context.recorder.on else 0
    many, turns = how_often(step, many, rounds)
    few, many = FEW + unlike, many + unlike
    seconds: dict[str, list[float]] = {"few_steps": [], "many_steps": [], "add": [], "student_step": []}
    for _ in range(turns):
        for name, steps in (("few_steps", few), ("many_steps", many)):
            passed, made = timed_batch(method, state, steps)
            seconds[name].append(passed)
        began = time.perf_counter()
        state.add_batch(made)
        state.prediction_counts.tolist()  # waits for the device
        seconds["add"].append(time.perf_counter() - began)
        while len(state.memory) < min(plan.capacity, plan.config.student.batch_size):
            state.add_batch(made)
        for _ in range(learnt_a_turn(turns) + unlike):
            began = time.perf_counter()
            state.learn(plan.config.student).tolist()  # waits for the device
            seconds["student_step"].append(time.perf_counter() - began)
    # The least: what else goes on in a machine only ever adds. The first warms up, and counts if it is alone.
    least = {name: min(values[1:] or values) for name, values in seconds.items()}
    return StepSeconds(few=few, many=many, **least)


def measuring_seconds(config: DistillConfig, cost: StepSeconds, many: int = MANY, rounds: int = ROUNDS) -> float:
    """How long `first_step` and `time_steps` together take where steps cost so much."""
    unlike, one = cost.few - FEW, cost.batch(FEW) - cost.add
    many, turns = how_often(one, many, rounds)
    batches = 2 * cost.batch(0) - cost.add + (FEW + many + 2 * unlike) * cost.synthesis_step
    learnt = (learnt_a_turn(turns) + unlike) * cost.student_step
    filling = ceil(config.student.batch_size / (config.synthesis.batch_size + config.leaves)) - 1
    return 2 * one + turns * (batches + learnt) + filling * cost.add


def how_often(step: float, many: int, rounds: int) -> tuple[int, int]:
    """The steps of a longer batch, and how often each kind is timed: `rounds` times after one that warms up.

    Slow steps are hardly warmed up by others, and are timed once, fewer of them the slower they are.
    """
    if step < SLOW:
        return many, 1 + rounds
    return max(FEW + 1, min(many, int(LONGEST / step))), 1


def learnt_a_turn(turns: int) -> int:
    """The student's steps that are timed in each: never one alone."""
    return max(2, turns)


def begun(plan: Plan, state: LoopState) -> Method[Any]:
    """The plan's method, as it is when the student has begun to learn."""
    method = build_method(plan, state.method.context.teacher)
    method.start_epoch(plan.config.warmup_epochs)
    return method


def timed_batch(method: Method[Any], state: LoopState, steps: int) -> tuple[float, SyntheticBatch]:
    """The seconds of a batch of so many steps, and the batch."""
    method.config = method.config.model_copy(update={"steps": steps})
    began = time.perf_counter()
    made = method.step(state.trainer.student)
    made.losses[TOTAL].item()  # waits for the device
    return time.perf_counter() - began, made


def timed_build(plan: Plan) -> tuple[LoopState, float]:
    """The first state of the loop, and the seconds until teacher and student were ready for their first step."""
    began = time.perf_counter()
    state = build(plan)
    return state, time.perf_counter() - began
