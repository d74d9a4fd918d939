"""Contracts of every method; a new one is tested here as soon as it is in the registry."""

import copy

import pytest
import torch

from nayer.core.errors import Interrupted
from nayer.core.tensors import tensors_digest
from nayer.distillation.loop import distill
from nayer.distillation.plan import plan
from nayer.engine.progress import NullReporter
from nayer.engine.resume import ResumePoint
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL
from nayer.synthesis.registry import METHODS

pytestmark = pytest.mark.parametrize("name", METHODS)


@pytest.fixture
def student(teacher) -> Classifier:
    torch.manual_seed(3)
    return Classifier.build("wrn-10-1", teacher.class_names, teacher.images).train()


def test_a_batch_is_images_with_labels_the_terms_it_names_and_what_the_teacher_saw(name, make_method, student, teacher):
    batch = make_method(name, synthesis__batch_size=12).step(student)
    assert (batch.images.shape, batch.images.dtype) == ((12, 1, 8, 8), torch.uint8)
    assert batch.labels.shape == batch.predictions.shape == (12,)
    assert 0 <= int(batch.labels.min()) <= int(batch.labels.max()) < len(teacher.class_names)
    assert set(batch.losses) == {*METHODS[name].loss_names, TOTAL}
    assert all(loss.shape == () and loss.isfinite() and not loss.requires_grad for loss in batch.losses.values())


def test_the_student_is_left_as_it_was_and_the_teacher_without_gradients_and_hooks(name, make_method, student, teacher):
    before = {key: value.clone() for key, value in student.state_dict().items()}
    method = make_method(name)
    method.start_epoch(1)
    method.step(student)
    assert student.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in student.parameters())
    assert all(torch.equal(value, before[key]) for key, value in student.state_dict().items())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in teacher.parameters())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in teacher.modules())


def test_state_round_trip_makes_the_same_images(name, make_method, student):
    method, other = make_method(name), make_method(name)
    method.step(student)
    other.load_state_dict(copy.deepcopy(method.state_dict()))
    images = []
    for each in (method, other):
        torch.manual_seed(9)
        images.append(each.step(student).images)
    assert torch.equal(*images)


def test_after_a_failure_nothing_of_what_was_spoilt_is_left(name, make_method, student, teacher):
    method = make_method(name)
    spoilt = [value for value in vars(method).values() if isinstance(value, torch.nn.Module) and value is not teacher]
    with torch.no_grad():
        for parameter in (each for module in spoilt for each in module.parameters()):
            parameter.fill_(torch.nan)
    method.step(student)
    method.recover()
    assert method.step(student).losses[TOTAL].isfinite()


class StopAfter(NullReporter):
    """Stops the loop as a signal would, after the given number of calls."""

    def __init__(self, resume: list[ResumePoint], calls: int) -> None:
        self.resume, self.left = resume, calls

    def advance(self, done: float, text: str) -> None:
        self.left -= 1
        if self.left == 0:
            self.resume[0]._on_signal(15, None)


@pytest.mark.parametrize("calls", [1, 3, 6, 9])
def test_a_run_stopped_anywhere_goes_on_to_the_same_bits(name, calls, teacher, embeddings, distill_config, runtime):
    config = distill_config(synthesis__method=name, synthesis__batches=3)

    def run(calls: int):
        points: list[ResumePoint] = []
        reporter = StopAfter(points, calls)
        made = plan(teacher, embeddings, config, runtime, 5)
        points.append(ResumePoint(runtime, "distill", made.fingerprint, reporter))
        return distill(made, points[0], reporter), points[0]

    whole, point = run(-1)
    point.discard()
    with pytest.raises(Interrupted):
        run(calls)
    resumed, _ = run(-1)
    assert resumed.history == whole.history
    assert tensors_digest(resumed.student.state_dict()) == tensors_digest(whole.student.state_dict())
    assert torch.equal(resumed.probes.images, whole.probes.images)
    assert resumed.student.provenance["method"] == METHODS[name].title
