"""Supervised training learns, resumes to the bit, and never looks at the validation split to learn."""

import os
import signal

import pytest
import torch

from nayer.core.errors import Interrupted, Stopped
from nayer.core.images import ImageSpec
from nayer.core.tensors import tensors_digest
from nayer.datasets import ImageSet
from nayer.engine.progress import NullReporter
from nayer.engine.resume import ResumePoint
from nayer.models.classifier import Classifier
from nayer.models.inference import accuracy
from nayer.teachers.config import TrainingConfig
from nayer.teachers.train import SupervisedState, train

IMAGES = ImageSpec(8, 1, (0.3,), (0.4,))


class StopAfter(NullReporter):
    def __init__(self, calls: int) -> None:
        self.left = calls

    def advance(self, done: float, text: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def data() -> ImageSet:
    """Three classes told apart by which third of the image is bright."""
    torch.manual_seed(0)
    labels = torch.arange(90) % 3
    images = torch.randint(0, 60, (90, 1, 8, 8), dtype=torch.uint8)
    for label, rows in enumerate((slice(0, 2), slice(3, 5), slice(6, 8))):
        images[labels == label, :, rows] += 150
    return ImageSet(images, labels)


@pytest.fixture
def config(read_parameters) -> TrainingConfig:
    values = read_parameters("test", "teacher")["training"]
    return TrainingConfig(**{**values, "epochs": 4, "batch_size": 15, "augmentation": {"padding": 0, "flip": False}})


def fit(config, runtime, data, validation, reporter=None):
    torch.manual_seed(1)
    classifier = Classifier.build("wrn-10-1", ("a", "b", "c"), IMAGES)
    reporter = reporter or NullReporter()
    resume = ResumePoint(runtime, "teacher", {"config": config.model_dump()}, reporter)
    history, seconds = train(classifier, data, validation, config, runtime, resume, reporter)
    resume.discard()
    return classifier, history, seconds


def test_training_learns_and_tells_every_epoch(config, runtime, data):
    classifier, history, seconds = fit(config, runtime, data, data)
    assert accuracy(classifier, data, torch.device("cpu")) == 1.0
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["validation_accuracy"] == 1.0
    assert seconds > 0


def test_the_validation_split_changes_nothing_that_is_learnt(config, runtime, data):
    first, *_ = fit(config, runtime, data, data)
    second, *_ = fit(config, runtime, data, data[:6])
    assert tensors_digest(first.state_dict()) == tensors_digest(second.state_dict())


@pytest.mark.parametrize("calls", [1, 6, 11, 23])
def test_a_stopped_training_goes_on_to_the_same_bits(calls, config, runtime, data):
    whole, history, _ = fit(config, runtime, data, data)
    with pytest.raises(Interrupted, match="SIGINT"):
        fit(config, runtime, data, data, StopAfter(calls))
    resumed, again, _ = fit(config, runtime, data, data)
    assert again == history
    assert tensors_digest(resumed.state_dict()) == tensors_digest(whole.state_dict())


def test_a_rise_of_a_single_step_is_left_out(teacher):
    recipe = TrainingConfig(
        epochs=1,
        batch_size=2,
        learning_rate=0.1,
        warmup=0.2,
        momentum=0.9,
        weight_decay=0,
        label_smoothing=0,
        augmentation={"padding": 0, "flip": False},
    )
    state = SupervisedState(teacher, recipe, 4)
    assert state.schedule.get_last_lr()[0] == pytest.approx(0.1, rel=0.2)
    for _ in range(4):
        state.optimiser.step()
        state.schedule.step()
    assert state.schedule.get_last_lr()[0] < 0.001


@pytest.mark.parametrize("step", [9, 24])
def test_a_training_that_went_astray_stops_and_keeps_no_spoilt_state(step, config, runtime, data, monkeypatch):
    """In the middle of the training, and by the very last step."""
    real, count = torch.optim.SGD.step, iter(range(1, 10**6))

    def stepping(self, *arguments):
        real(self, *arguments)
        if next(count) == step:
            with torch.no_grad():
                self.param_groups[0]["params"][0].fill_(float("nan"))

    eager = runtime.model_copy(update={"checkpoint_seconds": 1e-6})
    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", stepping)
        with pytest.raises(Stopped, match=r"weights are not finite in epoch .*lower teacher\.training"):
            fit(config, eager, data, data)
    classifier, history, _ = fit(config, eager, data, data)
    assert len(history) == 4
    assert all(value.isfinite().all() for value in classifier.state_dict().values())
