"""Silent failures are noticed within an epoch, reported and answered; one that stays stops the run."""

import math

import pytest
import torch
from fake_method import FakeConfig, FakeMethod, registered

from nayer.core.errors import Stopped
from nayer.core.tensors import tensors_digest
from nayer.distillation.loop import distill
from nayer.distillation.plan import plan
from nayer.engine.progress import NullReporter
from nayer.engine.resume import ResumePoint
from nayer.synthesis.method import TOTAL


class Heard(NullReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    @property
    def warnings(self) -> list[str]:
        return [text for text in self.said if text.startswith("Warning")]


@pytest.fixture
def method():
    """A fake method to spoil batches and student steps of; the warm-up has two batches, each epoch one and 3 steps."""

    class Method(FakeMethod):
        batches, student_steps = {}, {}

    with registered(Method):
        yield Method


@pytest.fixture
def run(teacher, distill_config, runtime, method):
    usual = runtime

    def go(heard: Heard, checkpoint_seconds=1e9, **changes):
        config = distill_config(**{"epochs": 4, **changes})
        synthesis = FakeConfig.model_validate({**dict(config.synthesis), "method": "fake"}, extra="ignore")
        config = config.model_copy(update={"synthesis": synthesis})
        runtime = usual.model_copy(update={"checkpoint_seconds": checkpoint_seconds})
        made = plan(teacher, None, config, runtime, 5)
        return distill(made, ResumePoint(runtime, "distill", made.fingerprint, heard), heard)

    return go


def no_number(self, made):
    made.losses[TOTAL] *= math.nan


def all_alike(self, made):
    made.images.copy_(made.images[:1].expand_as(made.images))


def far_away(self, made):
    made.losses[TOTAL] *= 1e6


def one_class(self, made):
    made.predictions.zero_()


def test_a_healthy_run_is_told_nothing(run):
    heard = Heard()
    run(heard)
    assert heard.warnings == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_number, "the generator's loss is nan"),
        (all_alike, "the generator's images are all alike"),
        (far_away, "the generator's loss is 1e+06"),
    ],
)
def test_a_batch_of_no_use_is_not_kept_and_a_fresh_generator_takes_over(spoil, words, run, method):
    method.batches[4] = spoil
    heard = Heard()
    result = run(heard)
    assert len(heard.warnings) == 1
    assert f"epoch 3: {words}; a fresh generator takes over" in heard.warnings[0]
    assert all(math.isfinite(row["synthesis_loss"]) for row in result.history)
    assert [row["made"] for row in result.history] == [1.5, 3, 5, 6, 7], "the fourth is none of them"
    assert result.images_made == 25 * (2 + 4), "as many as in any run"


def test_images_of_one_class_bring_a_fresh_generator_and_at_last_an_end(run, method):
    method.batches.update(dict.fromkeys(range(1, 100), one_class))
    heard = Heard()
    with pytest.raises(Stopped, match=r"in one class, for the 4th time in a row; lower distill\.synthesis"):
        run(heard)
    assert len(heard.warnings) == 3
    assert "in one class; a fresh generator takes over" in heard.warnings[0]


def test_drawn_pictures_may_all_be_of_one_class(run, method):
    method.batches.update(dict.fromkeys(range(1, 100), one_class))
    method.draws = True
    heard = Heard()
    run(heard)
    assert heard.warnings == []


def test_a_student_that_is_no_number_goes_back_and_learns_at_half_the_rate(run, method):
    usual = [row["learning_rate"] for row in run(Heard()).history]
    method.student_steps[5] = lambda loss: loss * math.nan  # in the second epoch of distillation
    heard = Heard()
    result = run(heard, probe_images=41)  # so that no state of the first run is resumed
    assert [text for text in heard.warnings if "the student's loss is nan; the epoch repeats at half" in text]
    assert len(heard.warnings) == 1
    assert all(math.isfinite(row["kd_loss"]) for row in result.history[1:])
    assert all(value.isfinite().all() for value in result.student.state_dict().values())
    rates = [row["learning_rate"] for row in result.history]
    assert rates[1] == usual[1]
    assert rates[2] == pytest.approx(usual[2] / 2, rel=0.02)


def test_a_student_that_runs_away_is_noticed(run, method):
    method.student_steps[8] = lambda loss: loss + 1e9
    heard = Heard()
    run(heard)
    assert "the epoch repeats at half the rate" in heard.warnings[0]


def test_what_stays_wrong_stops_the_run_with_the_state_kept(run, method):
    method.batches.update(dict.fromkeys(range(5, 100), far_away))
    heard = Heard()
    with pytest.raises(Stopped) as caught:
        run(heard, checkpoint_seconds=1e-6)
    told = str(caught.value)
    assert told.startswith("distill: the generator's loss is ")
    assert ", for the 4th time in a row; lower distill.synthesis.learning_rate" in told
    assert told.endswith("the last state of distill. With other values the same command starts afresh.")
    assert len(heard.warnings) == 3


class SpoiltWeights(torch.autograd.Function):
    """A finite loss with gradients that are NaN."""

    @staticmethod
    def forward(ctx, loss):
        return loss.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.nan


def test_weights_that_the_last_step_of_an_epoch_spoilt_are_noticed_too(run, method):
    method.student_steps[6] = SpoiltWeights.apply
    heard = Heard()
    run(heard)
    assert ["the student's weights are not finite" in text for text in heard.warnings] == [True]


def interrupted_after(stop, run, monkeypatch):
    """Let a run keep its state at the `stop`th chance and end; returns the result of the run that resumes it."""

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


def test_a_first_batch_of_an_epoch_that_failed_is_resumed_to_the_same_bits(run, method, runtime, monkeypatch):
    """The generator is renewed for the new epoch and for the failure, and not again by resuming."""
    method.batches[3] = far_away
    epochs, start = [], method.start_epoch
    monkeypatch.setattr(method, "start_epoch", lambda self, epoch: (epochs.append(epoch), start(self, epoch)))
    whole = run(Heard())
    ResumePoint(runtime, "distill", {}, NullReporter()).discard()
    del epochs[:]
    resumed = interrupted_after(3, run, monkeypatch)
    trial = 1, 1
    assert epochs == [*trial, 0, 1, *trial, 2, 3, 4], "epoch 1 begins once, before the stop"
    assert resumed.history == whole.history
    assert tensors_digest(resumed.student.state_dict()) == tensors_digest(whole.student.state_dict())


@pytest.mark.parametrize("stop", [4, 8, 12])
def test_a_run_with_a_failure_resumes_to_the_same_bits(stop, run, method, runtime, monkeypatch):
    method.student_steps[5] = lambda loss: loss * math.nan
    whole = run(Heard())
    ResumePoint(runtime, "distill", {}, NullReporter()).discard()
    resumed = interrupted_after(stop, run, monkeypatch)
    assert resumed.history == whole.history
    assert tensors_digest(resumed.student.state_dict()) == tensors_digest(whole.student.state_dict())
