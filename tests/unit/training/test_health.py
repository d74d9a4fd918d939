"""What goes wrong without an error is noticed within an epoch, told, and answered; what stays wrong stops the run."""

import math

import pytest
import torch

from nayer.errors import Stopped
from nayer.files import tensors_digest
from nayer.synthesis.nayer import Nayer
from nayer.training import distillation, health
from nayer.training.distillation import distill
from nayer.training.distillation_setup import LoopState
from nayer.training.reporting import Silence
from nayer.training.resume import ResumePoint
from nayer.training.student import StudentTrainer


class Heard(Silence):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    @property
    def warnings(self) -> list[str]:
        return [text for text in self.said if text.startswith("Warning")]


@pytest.fixture
def run(teacher, embeddings, distill_config, runtime):
    usual = runtime

    def go(heard: Heard, checkpoint_seconds=1e9, **changes):
        config = distill_config(**{"epochs": 4, **changes})
        runtime = usual.model_copy(update={"checkpoint_seconds": checkpoint_seconds})
        resume = ResumePoint(runtime, "distill", {"config": config.model_dump()}, heard)
        return distill(teacher, embeddings, config, runtime, 5, resume, heard)

    return go


@pytest.fixture
def at_call(monkeypatch):
    """Puts `spoil` after the given calls of a method, counted from 1."""

    def put(kind, name, calls, spoil):
        real, count = getattr(kind, name), iter(range(1, 10**6))

        def method(self, *arguments):
            result = real(self, *arguments)
            return spoil(self, result) if next(count) in calls else result

        monkeypatch.setattr(kind, name, method)

    return put


@pytest.fixture(autouse=True)
def _no_trial_steps(monkeypatch):
    monkeypatch.setattr(distillation, "estimate", lambda *_: "")


@pytest.fixture(autouse=True)
def _a_teacher_that_tells_images_apart(monkeypatch):
    """The random one of these tests sees one class in all images, which is a case of its own below."""
    monkeypatch.setattr(health, "ONE_CLASS", 1.0)


def spoilt_generator(self, made):
    with torch.no_grad():
        next(self.generator.parameters()).fill_(math.nan)
    return made


def all_alike(self, made):
    made.images.copy_(made.images[:1].expand_as(made.images))
    return made


def spoilt_student(self, result):
    with torch.no_grad():
        next(self.student.network.parameters()).fill_(math.nan)
    return result


def far_away(self, made):
    made.losses["synthesis_loss"] *= 1e6
    return made


def test_a_healthy_run_is_told_nothing(run):
    heard = Heard()
    run(heard)
    assert heard.warnings == []


def test_a_generator_that_is_no_number_is_replaced_and_its_batch_not_kept(run, at_call, runtime):
    at_call(Nayer, "step", {3}, spoilt_generator)  # the fourth batch comes out of it
    heard = Heard()
    result = run(heard)
    assert len(heard.warnings) == 1
    assert "epoch 3: the generator's loss is nan; a fresh generator takes over" in heard.warnings[0]
    assert all(math.isfinite(row["synthesis_loss"]) for row in result.history)
    assert result.images_made == 25 * (2 + 4), "as many as in any run, none of them from the broken one"


@pytest.mark.parametrize(("spoil", "words"), [(all_alike, "all alike"), (far_away, "the generator's loss is")])
def test_a_batch_of_no_use_is_made_again(spoil, words, run, at_call):
    at_call(Nayer, "step", {3}, spoil)
    heard = Heard()
    result = run(heard)
    assert len(heard.warnings) == 1
    assert words in heard.warnings[0]
    assert result.images_made == 25 * (2 + 4)


def test_images_of_one_class_bring_a_fresh_generator_and_at_last_an_end(run, monkeypatch):
    monkeypatch.setattr(health, "ONE_CLASS", 0.0)
    heard = Heard()
    with pytest.raises(Stopped, match=r"for one class, for the 4th time in a row; lower distill\.synthesis"):
        run(heard)
    assert len(heard.warnings) == 3
    assert "for one class; a fresh generator takes over" in heard.warnings[0]


def test_a_student_that_is_no_number_goes_back_and_learns_at_half_the_rate(run, at_call):
    at_call(StudentTrainer, "step", {5}, spoilt_student)  # in the second epoch of distillation
    heard, whole = Heard(), Heard()
    result = run(heard)
    assert [text for text in heard.warnings if "the student's loss is nan; it is learnt again at half" in text]
    assert len(heard.warnings) == 1
    assert all(math.isfinite(row["kd_loss"]) for row in result.history[1:])
    assert all(value.isfinite().all() for value in result.student.state_dict().values())
    rates = [row["learning_rate"] for row in result.history]
    usual = [row["learning_rate"] for row in run(whole, student__learning_rate=0.05, held_out=41).history]
    assert rates[1] == usual[1]
    assert rates[2] == pytest.approx(usual[2] / 2, rel=0.02)


def test_a_student_that_runs_away_is_noticed(run, at_call):
    at_call(StudentTrainer, "step", {8}, lambda self, result: (result[0] * 1e9, result[1]))
    heard = Heard()
    run(heard)
    assert "it is learnt again at half the rate" in heard.warnings[0]


def test_what_stays_wrong_stops_the_run_with_the_state_kept(run, at_call, runtime):
    at_call(Nayer, "step", set(range(4, 100)), far_away)
    heard = Heard()
    with pytest.raises(Stopped) as caught:
        run(heard, checkpoint_seconds=1e-6)
    told = str(caught.value)
    assert told.startswith("distill: the generator's loss is ")
    assert ", for the 4th time in a row; lower distill.synthesis.learning_rate" in told
    assert told.endswith("the last state of distill. With other values the same command starts afresh.")
    assert len(heard.warnings) == 3


def test_weights_that_the_last_step_of_an_epoch_spoilt_are_noticed_too(run, at_call):
    at_call(StudentTrainer, "step", {6}, spoilt_student)
    heard = Heard()
    run(heard)
    assert ["the student's weights are no numbers" in text for text in heard.warnings] == [True]


def interrupted_after(stop, run, monkeypatch):
    """A run that ends right after it kept its state for the given time, and what the next one makes of it."""

    class Stop(Exception):
        pass

    calls = iter(range(1, 10**6))
    keep = ResumePoint.keep

    def stopping(self, state, finished=False):
        if next(calls) == stop:
            keep(self, state, finished=True)
            raise Stop
        keep(self, state, finished)

    with monkeypatch.context() as patch:
        patch.setattr(ResumePoint, "keep", stopping)
        with pytest.raises(Stop):
            run(Heard())
    return run(Heard())


def test_a_first_batch_of_an_epoch_that_failed_is_resumed_to_the_same_bits(run, at_call, runtime, monkeypatch):
    """The generator is renewed for the new epoch and for the failure, not once more by resuming."""

    epoch, begin, look = {}, LoopState.begin_epoch, health.Health.look_at_batch

    def beginning(self):
        epoch["now"] = self.epoch
        begin(self)

    def failing_first(self, made):
        result = look(self, made)
        if epoch["now"] == 1 and "once" not in self.failures:
            self.failures["once"] = 1
            return "it failed"
        return result

    monkeypatch.setattr(LoopState, "begin_epoch", beginning)
    monkeypatch.setattr(health.Health, "look_at_batch", failing_first)
    whole = run(Heard())
    ResumePoint(runtime, "distill", {}, Silence()).discard()
    resumed = interrupted_after(3, run, monkeypatch)
    assert resumed.history == whole.history
    assert tensors_digest(resumed.student.state_dict()) == tensors_digest(whole.student.state_dict())


@pytest.mark.parametrize("stop", [4, 8, 12])
def test_a_run_with_a_failure_resumes_to_the_same_bits(stop, run, runtime, monkeypatch):
    learn = LoopState.learn

    def spoilt(self, config):
        result = learn(self, config)
        if self.epoch == 2 and self.step == 1 and not self.health.failures["student"]:
            spoilt_student(self.trainer, result)
        return result

    monkeypatch.setattr(LoopState, "learn", spoilt)
    whole = run(Heard())
    ResumePoint(runtime, "distill", {}, Silence()).discard()

    resumed = interrupted_after(stop, run, monkeypatch)
    assert resumed.history == whole.history
    assert tensors_digest(resumed.student.state_dict()) == tensors_digest(whole.student.state_dict())
