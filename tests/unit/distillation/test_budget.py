"""A schedule fills its minutes, with the same student steps for every method that keeps a memory."""

import copy
from dataclasses import replace

import pytest
from harness.scenario import parameters

from nayer.core.errors import InputError
from nayer.distillation.budget import Budget, counted_seconds, scaled, schedule_for
from nayer.distillation.config import DistillConfig
from nayer.distillation.cost import MANY, StepSeconds
from nayer.distillation.plan import schedule_of
from nayer.scenarios.method import by_method

BUDGET = Budget(minutes=5, student_share=0.5, student_step=0.1, warmup_share=0.25, epochs=30)
# A synthesis step takes 0.2 s, a batch 0.4 s besides its steps.
COST = StepSeconds(few_steps=0.5, many_steps=0.5 + (MANY - 1) * 0.2, add=0.1, student_step=0.1)


def fitted(method: str, cost: StepSeconds = COST, budget: Budget = BUDGET, **synthesis) -> DistillConfig:
    values = by_method(method, parameters("fashion_mnist", "distill"))
    values["synthesis"] = {**values["synthesis"], **synthesis}
    return DistillConfig.model_validate(
        scaled(values, schedule_for(DistillConfig.model_validate(values), cost, budget))
    )


@pytest.mark.parametrize(("method", "steps"), [("nayer", 15), ("nayer", 3), ("cmi", 100), ("deep_inversion", 200)])
def test_synthesis_gets_what_the_student_leaves_and_is_not_late(method, steps):
    config = fitted(method, steps=steps)
    schedule = schedule_of(config)
    made = schedule.images // schedule.batch_size
    learnt = schedule.epochs * schedule.student_steps
    seconds = made * (0.4 + steps * 0.2) + learnt * 0.1
    assert seconds <= 300
    assert seconds > 300 - (0.4 + steps * 0.2) - schedule.epochs * 0.1
    assert learnt == pytest.approx(1500, rel=0.02), "half of five minutes, by the reference's step"
    early = schedule.warmup_batches * schedule.warmup_epochs
    assert early >= round(0.25 * made)


def test_the_last_share_of_the_students_steps_comes_after_the_images():
    closing = Budget(5, 0.5, 0.1, 0.25, 30, closing_share=0.75)
    plain, config = (fitted("nayer", steps=15, budget=each) for each in (BUDGET, closing))
    assert schedule_of(config).images == schedule_of(plain).images
    assert config.closing_epochs == 3 * (config.epochs - config.closing_epochs) > 0
    assert config.epochs * config.student.steps == pytest.approx(1500, rel=0.05)
    values, last = config.model_dump(), config.warmup_epochs + config.epochs
    of_steps = config.student.steps * 0.1
    assert counted_seconds(values, COST, last) - counted_seconds(values, COST, last - 1) == pytest.approx(of_steps)
    assert counted_seconds(values, COST, last) <= 300


def test_a_warm_up_leaves_a_batch_for_the_student_to_learn_from():
    schedule = schedule_of(fitted("nayer", steps=15, budget=replace(BUDGET, warmup_share=1.0)))
    assert (schedule.epochs, schedule.batches) == (1, 1)
    assert schedule.warmup_batches > 1


def test_a_method_that_alternates_keeps_its_published_ratio():
    config = fitted("dfq")
    schedule = schedule_of(config)
    assert schedule.warmup_epochs == 0
    assert schedule.student_steps == 10 * schedule.batches


@pytest.mark.parametrize("minutes", [1, 1.5, 3, 5, 30])
@pytest.mark.parametrize("method", ["dfq", "zskt", "dafl"])
def test_a_method_that_alternates_fills_the_minutes_in_as_few_epochs_as_the_others(method, minutes):
    config = fitted(method, budget=replace(BUDGET, minutes=minutes))
    last = config.epochs
    seconds = counted_seconds(config.model_dump(), COST, last)
    assert last <= BUDGET.epochs
    one_each = seconds / (last * config.synthesis.batches)  # seconds of one turn
    assert 60 * minutes - (config.synthesis.batches + 1) * one_each < seconds <= 60 * minutes


@pytest.mark.parametrize(("method", "least"), [("nayer", 290), ("deep_inversion", 250), ("dfq", 270)])
def test_seconds_are_counted_up_to_the_minutes_that_the_schedule_fills(method, least):
    values = fitted(method, **({"steps": 200} if method == "deep_inversion" else {})).model_dump()
    last = values["warmup_epochs"] + values["epochs"]
    counted = [counted_seconds(values, COST, epoch) for epoch in range(last + 1)]
    assert counted[0] == 0
    assert least < counted[last] <= 300
    batch = values["synthesis"]["batches"] * (0.4 + values["synthesis"]["steps"] * 0.2)
    assert counted[last] - counted[last - 1] == pytest.approx(batch + values["student"]["steps"] * 0.1)
    if values["warmup_epochs"]:
        warmup = values["synthesis"]["warmup_batches"] * (0.4 + values["synthesis"]["steps"] * 0.2)
        assert counted[1] == pytest.approx(warmup), "the student does not learn yet"


def test_too_little_time_for_two_batches_is_answered_with_one_sentence():
    with pytest.raises(InputError, match=r"a batch of 2000 steps takes 400 s, and synthesis has 150 s"):
        fitted("deep_inversion", steps=2000)


def test_too_little_time_for_one_turn_is_answered_with_one_sentence():
    short = Budget(minutes=0.02, student_share=0.5, student_step=0.1, warmup_share=0.25, epochs=30)
    with pytest.raises(InputError, match=r"one batch and the student's 10 steps after it take longer than the 1 s"):
        fitted("dfq", budget=short)


def test_what_comes_in_is_left_as_it_was():
    values = by_method("nayer", parameters("fashion_mnist", "distill"))
    before = copy.deepcopy(values)
    scaled(values, schedule_for(DistillConfig.model_validate(values), COST, BUDGET))
    assert values == before


def test_what_it_takes_to_record_the_first_steps_counts_once_a_batch():
    cost = COST.model_copy(update={"few": 3, "many": 10, "few_steps": 0.5, "many_steps": 0.57, "add": 0.0})
    assert cost.synthesis_step == pytest.approx(0.01)
    assert cost.batch(30) == pytest.approx(0.5 + 27 * 0.01)
