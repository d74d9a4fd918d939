"""Matched dead leaves: closer to BatchNorm statistics, and still pictures; the teacher stays as it was."""

import copy

import pytest
import torch
from torch import nn

from nayer.core.images import ImageSpec
from nayer.models.classifier import Classifier
from nayer.synthesis.parts import matching
from nayer.synthesis.parts.leaves import dead_leaves
from nayer.synthesis.parts.matching import MatchedLeaves

SPEC = ImageSpec(16, 3, (0.5, 0.4, 0.3), (0.25, 0.2, 0.2))


@pytest.fixture
def trained() -> Classifier:
    """A teacher with the statistics of reddish stripes, whose weights require gradients."""
    torch.manual_seed(0)
    found = Classifier.build("wrn-10-1", ("a", "b"), SPEC)
    stripes = torch.arange(16).div(4, rounding_mode="floor").remainder(2).float().expand(64, 3, 16, 16)
    for _ in range(60):
        found.train()(stripes * torch.tensor([0.9, 0.3, 0.2])[:, None, None] * torch.rand(64, 1, 1, 1))
    return found.eval()


def inputs_of(teacher: Classifier, images: torch.Tensor) -> dict[nn.Module, torch.Tensor]:
    known: dict[nn.Module, torch.Tensor] = {}
    layers = [module for module in teacher.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [layer.register_forward_pre_hook(lambda own, given: known.update({own: given[0]})) for layer in layers]
    with torch.no_grad():
        teacher(images)
    for hook in hooks:
        hook.remove()
    return known


def test_the_term_told_is_that_of_the_images_and_falls_with_the_steps(trained):
    told, by_hand = [], []
    for steps in (0, 3, 12):
        torch.manual_seed(1)
        images, logits, term = MatchedLeaves(trained).draw(32, steps)
        told.append(float(term))
        torch.testing.assert_close(logits, trained(images).detach())
        distance = 0.0
        for layer, given in inputs_of(trained, images).items():
            values = given.transpose(0, 1).flatten(1)
            distance += float((values.mean(1) - layer.running_mean).norm())
            distance += float((values.var(1, correction=0) - layer.running_var).norm())
        by_hand.append(distance)
    assert told == pytest.approx(by_hand, rel=1e-3)
    assert told[0] > 1.2 * told[1] > 1.2 * 1.2 * told[2]


def test_images_stay_within_black_and_white_and_near_what_was_drawn(trained):
    torch.manual_seed(1)
    drawn = dead_leaves(trained, 32)
    torch.manual_seed(1)
    images, _, _ = MatchedLeaves(trained).draw(32, 5)
    assert 0 <= images.min() <= images.max() <= 1
    # A step of Adam is about as large as its learning rate, on the normalised scale.
    assert ((images - drawn).abs() <= 2 * 5 * 0.05 * trained.std).all()
    assert not torch.equal(images, drawn)


def test_many_are_matched_in_parts_of_one_size(trained, monkeypatch):
    monkeypatch.setattr(matching, "PIXELS", 20 * 16**2)
    torch.manual_seed(1)
    drawn, leaves, sizes = dead_leaves(trained, 50), MatchedLeaves(trained), []
    match = leaves.match
    monkeypatch.setattr(leaves, "match", lambda images, steps: sizes.append(len(images)) or match(images, steps))
    torch.manual_seed(1)
    images, logits, _ = leaves.draw(50, 2)
    assert sizes == [17, 17, 16]
    with leaves.statistics.recording():
        torch.testing.assert_close(images[17:34], match(drawn[17:34], 2))
    assert len(logits) == 50


def test_the_teacher_is_neither_changed_nor_given_gradients(trained):
    before = copy.deepcopy(trained.state_dict())
    MatchedLeaves(trained).draw(8, 2)
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())
    assert all(each.grad is None for each in trained.parameters())


def test_leaves_of_a_teacher_without_batchnorm_stay_as_they_are_drawn():
    teacher = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(768, 2)), "flat", ("a", "b"), SPEC)
    torch.manual_seed(1)
    drawn = dead_leaves(teacher, 8)
    torch.manual_seed(1)
    images, _, term = MatchedLeaves(teacher).draw(8, 5)
    assert torch.equal(images, drawn)
    assert term == 0
