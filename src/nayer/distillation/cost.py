"""Measures what the steps of a distillation cost on this machine, by timing a few real ones."""

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
# Seconds from which a step counts as slow, and seconds that the longer batch of slow steps should not exceed.
SLOW, LONGEST = 2.0, 30.0


class StepSeconds(Config):
    """Seconds that batches and steps of one method take for one pair of teacher and student."""

    few_steps: float
    """Seconds of a batch of `few` synthesis steps."""
    many_steps: float
    """Seconds of a batch of `many` synthesis steps."""
    few: Count = FEW
    many: Count = MANY
    add: float
    """Seconds that adding a batch to the memory takes."""
    student_step: float

    @property
    def synthesis_step(self) -> float:
        """Seconds of one synthesis step."""
        return max((self.many_steps - self.few_steps) / (self.many - self.few), 1e-6)

    def batch(self, steps: int) -> float:
        """Seconds of a batch of so many steps, including its set-up and adding it to the memory."""
        return max(self.few_steps - self.few * self.synthesis_step, 0.0) + steps * self.synthesis_step + self.add


def shortened(values: Mapping[str, Any]) -> DistillConfig:
    """The shortest distillation whose single steps do the same work as those of the given parameters."""
    synthesis, student = values["synthesis"], values["student"]
    turn = METHODS[synthesis["method"]].alternates
    return DistillConfig.model_validate(
        {
            **values,
            "warmup_epochs": 0 if turn else 1,
            "epochs": 1,
            "closing_epochs": 0,
            "memory": max(student["batch_size"], synthesis["batch_size"] + values.get("leaves", 0)),
            "synthesis": {**synthesis, "batches": 1, "warmup_batches": 1},
        }
    )


def first_step(plan: Plan, state: LoopState) -> float:
    """Seconds of a batch of one step, the faster of two, as the first warms up. Changes the state.

    With several processes, the seconds of the slowest, so that all of them then time the same number of steps.
    """
    method = begun(plan, state)
    seconds: list[float] = distributed.all_gather(min(timed_batch(method, state, FEW)[0] for _ in range(2)))
    return max(seconds)


def time_steps(plan: Plan, state: LoopState, step: float, many: int = MANY, rounds: int = ROUNDS) -> StepSeconds:
    """Time a few real steps, taking the kinds in turn. Changes the state.

    `step` is the result of `first_step`: if steps are slow, fewer of them are timed.
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
    # The minimum, as other work on the machine only adds time. The first is a warm-up and counts only if it is alone.
    least = {name: min(values[1:] or values) for name, values in seconds.items()}
    return StepSeconds(few=few, many=many, **least)


def measuring_seconds(config: DistillConfig, cost: StepSeconds, many: int = MANY, rounds: int = ROUNDS) -> float:
    """Seconds that `first_step` and `time_steps` take together if steps cost this much."""
    unlike, one = cost.few - FEW, cost.batch(FEW) - cost.add
    many, turns = how_often(one, many, rounds)
    batches = 2 * cost.batch(0) - cost.add + (FEW + many + 2 * unlike) * cost.synthesis_step
    learnt = (learnt_a_turn(turns) + unlike) * cost.student_step
    filling = ceil(config.student.batch_size / (config.synthesis.batch_size + config.leaves)) - 1
    return 2 * one + turns * (batches + learnt) + filling * cost.add


def how_often(step: float, many: int, rounds: int) -> tuple[int, int]:
    """Steps of the longer batch, and how often each kind is timed: `rounds` times after a warm-up.

    Slow steps gain little from a warm-up: they are timed once, in a batch that is shorter the slower they are, but
    has at least two steps.
    """
    if step < SLOW:
        return many, 1 + rounds
    return max(FEW + 1, min(many, int(LONGEST / step))), 1


def learnt_a_turn(turns: int) -> int:
    """Student steps timed in each turn, at least two."""
    return max(2, turns)


def begun(plan: Plan, state: LoopState) -> Method[Any]:
    """The plan's method in the first epoch after the warm-up."""
    method = build_method(plan, state.method.context.teacher)
    method.start_epoch(plan.config.warmup_epochs)
    return method


def timed_batch(method: Method[Any], state: LoopState, steps: int) -> tuple[float, SyntheticBatch]:
    """Seconds that a batch of so many steps takes, and the batch."""
    method.config = method.config.model_copy(update={"steps": steps})
    began = time.perf_counter()
    made = method.step(state.trainer.student)
    made.losses[TOTAL].item()  # waits for the device
    return time.perf_counter() - began, made


def timed_build(plan: Plan) -> tuple[LoopState, float]:
    """The first state of the loop, and the seconds that building it took."""
    began = time.perf_counter()
    state = build(plan)
    return state, time.perf_counter() - began
