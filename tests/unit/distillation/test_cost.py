"""The cost of steps is measured on some of them, fewer where they are slow, and a run takes the time counted."""

import time

import pytest

from nayer.distillation import cost as costs
from nayer.distillation.budget import scaled
from nayer.distillation.build import build
from nayer.distillation.config import DistillConfig
from nayer.distillation.cost import MANY, ROUNDS, first_step, how_often, measuring_seconds, time_steps
from nayer.distillation.estimate import estimate, estimate_seconds
from nayer.distillation.loop import distill
from nayer.distillation.plan import plan
from nayer.distillation.state import LoopState
from nayer.engine.progress import NullReporter
from nayer.engine.resume import ResumePoint
from nayer.scenarios.minutes import Filling
from nayer.synthesis.method import Method

# Seconds of a batch without its steps, of a synthesis step, of adding a batch to the memory, and of a student step.
START, STEP, ADD, LEARN = 2.0, 1.0, 0.5, 0.25


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """A simulated clock that every step moves by its seconds; the very first batch takes ten times as long."""
    passed = [0.0]

    def takes(kind: type, name: str, seconds) -> None:
        real = getattr(kind, name)

        def slower(self, *given):
            passed[0] += seconds(self)
            return real(self, *given)

        monkeypatch.setattr(kind, name, slower)

    takes(LoopState, "add_batch", lambda _: ADD)
    takes(LoopState, "learn", lambda _: LEARN)
    real = costs.timed_batch

    def batch(method: Method, state: LoopState, steps: int):
        _, made = real(method, state, steps)
        seconds = (START + steps * STEP) * (1 if passed[0] else 10)
        passed[0] += seconds
        return seconds, made

    monkeypatch.setattr(costs, "timed_batch", batch)
    monkeypatch.setattr(costs.time, "perf_counter", lambda: passed[0])
    return passed


@pytest.mark.parametrize("slow", [False, True])
def test_all_kinds_of_steps_are_told_apart_and_what_measuring_takes_is_known(slow, make_plan, clock, monkeypatch):
    monkeypatch.setattr(costs, "SLOW", 1.0 if slow else 100.0)
    monkeypatch.setattr(costs, "LONGEST", 9.0)
    made = make_plan(synthesis__batch_size=6, student__batch_size=12)
    state = build(made)
    step = first_step(made, state)
    assert step == START + STEP, "not that of the first"
    warming = 9 * step
    found = time_steps(made, state, step)
    assert found.many == (3 if slow else MANY)
    assert found.synthesis_step == pytest.approx(STEP)
    assert found.batch(30) == pytest.approx(START + 30 * STEP + ADD)
    assert found.student_step == pytest.approx(LEARN)
    assert clock[0] == pytest.approx(measuring_seconds(made.config, found) + warming)
    clock[0] = 1e-9
    estimate(made, build(made))
    assert clock[0] == pytest.approx(estimate_seconds(made.config, found))


def test_slow_steps_are_timed_once_and_fewer_of_them_the_slower_they_are():
    assert how_often(0.01, MANY, ROUNDS) == (MANY, 1 + ROUNDS)
    found = [how_often(step, MANY, ROUNDS) for step in (3.0, 5.0, 12.0, 500.0)]
    assert found == [(8, 1), (6, 1), (2, 1), (2, 1)]
    assert how_often(3.0, 2, 1) == (2, 1)


def test_processes_time_as_many_steps_as_the_slowest_of_them(make_plan, monkeypatch):
    monkeypatch.setattr(costs.distributed, "all_gather", lambda seconds: [seconds, 50.0])
    assert first_step(make_plan(), build(make_plan())) == 50.0


def test_a_schedule_that_was_measured_takes_about_what_it_promised(teacher, embeddings, make_plan, runtime):
    """Within a factor of 3, as other work on this machine comes and goes."""
    promised, trial = 4.0, make_plan(synthesis__steps=10, student__cached_targets=8)
    state = build(trial)
    cost = time_steps(trial, state, first_step(trial, state))
    schedule = Filling(promised / 60, trial.config, 3).schedule(0.0, cost)
    config = DistillConfig.model_validate(scaled(trial.config.model_dump(), schedule))
    whole = plan(teacher, embeddings, config, runtime, 0)
    began = time.monotonic()
    distill(whole, ResumePoint(runtime, "distill", whole.fingerprint, NullReporter()), NullReporter())
    assert promised / 3 < time.monotonic() - began < 3 * promised
