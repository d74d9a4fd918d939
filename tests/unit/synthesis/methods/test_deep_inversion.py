"""DeepInversion: pixels that activate the teacher as its data did, and look like a picture."""

import math

import pytest
import torch
import torch.nn.functional as F

from nayer.engine import distributed
from nayer.synthesis.method import TOTAL
from nayer.synthesis.parts.losses import total_variation


@pytest.fixture
def make(make_method):
    return lambda **changes: make_method("deep_inversion", **{"synthesis__steps": 2, **changes})


def test_variation_is_the_length_of_all_differences_to_neighbours_in_four_directions():
    torch.manual_seed(0)
    pixels = torch.randn(2, 1, 3, 3)
    expected = 0.0
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        squares = [
            (pixels[n, 0, i, j] - pixels[n, 0, i + down, j + right]).item() ** 2
            for n in range(2)
            for i in range(3)
            for j in range(3)
            if i + down < 3 and 0 <= j + right < 3
        ]
        expected += math.sqrt(sum(squares))
    assert total_variation(pixels).item() == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_that_of_the_paper(make, student, teacher):
    """Class term, statistics of the first layer's inputs and of all layers, and both priors, written out."""
    method = make(augmentation__padding=0, synthesis__norm_weight=0.1, synthesis__variation_weight=0.2)
    pixels, labels = torch.randn(6, 1, 8, 8), torch.arange(6) % 3
    images = pixels * teacher.std + teacher.mean
    with method.loss.for_one_batch(student):
        losses, _ = method.losses(pixels, labels, student, images)
    inputs = []
    hooks = [
        module.register_forward_pre_hook(lambda module, given: inputs.append((module, given[0])))
        for module in teacher.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    teacher(images)
    [hook.remove() for hook in hooks]
    distance = sum(
        (given.mean((0, 2, 3)) - layer.running_mean).norm()
        + (given.var((0, 2, 3), unbiased=False) - layer.running_var).norm()
        for layer, given in inputs
    )
    torch.testing.assert_close(losses["bn"], distance)
    torch.testing.assert_close(losses["ce"], F.cross_entropy(teacher(images), labels))
    prior = 0.2 * total_variation(pixels) + 0.1 * pixels.norm()
    torch.testing.assert_close(losses[TOTAL], losses["ce"] + 10 * losses["bn"] + prior)


def test_all_classes_come_in_turns_when_a_batch_has_fewer_and_a_resumed_run_goes_on_with_the_next(make, student):
    method = make(synthesis__batch_size=2)
    labels = [method.step(student).labels for _ in range(2)]
    resumed = make(synthesis__batch_size=2)
    resumed.load_state_dict(method.state_dict())
    labels.append(resumed.step(student).labels)
    assert torch.cat(labels).tolist() == [0, 1, 2, 0, 1, 2]


def test_processes_share_the_turn_of_the_classes(make, student, monkeypatch):
    monkeypatch.setattr(distributed, "size", lambda: 2)
    monkeypatch.setattr(distributed, "average", lambda tensors: None)
    labels = []
    for rank in (0, 1):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        method = make(synthesis__batch_size=4)
        labels.append([method.step(student).labels.tolist() for _ in range(2)])
    assert labels == [[[0, 1], [1, 2]], [[2, 0], [0, 1]]]


def test_images_stay_in_range_and_come_to_be_what_they_are_for(make, student, teacher):
    with torch.no_grad():
        teacher.network.head.weight *= 20  # an untrained teacher hardly tells images apart
    method = make(synthesis__steps=200, synthesis__learning_rate=0.1, synthesis__bn_weight=0.0, augmentation__padding=0)
    batch = method.step(student)
    pixels = 10 * torch.randn(2, 1, 8, 8)
    images = method.images_of(pixels)
    assert images.min().item() == pytest.approx(0, abs=1e-6)
    assert images.max().item() == pytest.approx(1, abs=1e-6)
    assert torch.equal(images, pixels * teacher.std + teacher.mean), "the pixels themselves are brought back"
    assert batch.losses["ce"] < 0.5
    assert (batch.predictions == batch.labels).float().mean() > 0.9
