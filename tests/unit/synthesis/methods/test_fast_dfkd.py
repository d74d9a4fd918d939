"""FastDFKD's idea: batches start from a common generator, which learns to be a good start (first-order MAML)."""

import copy

import pytest
import torch
import torch.nn.functional as F

from nayer.synthesis.method import TOTAL
from nayer.synthesis.parts.inversion import InversionLoss


@pytest.fixture
def make(make_method):
    return lambda **changes: make_method("fast_dfkd", **changes)


def test_the_common_generator_moves_by_the_sum_of_the_gradients_along_the_way_of_a_batch(make, student, teacher):
    """Compared with the formula, with steps and gradients written out: no optimiser or loss of the library is used."""
    plain = {"synthesis__bn_weight": 0.0, "synthesis__ce_weight": 1.0, "augmentation__padding": 0}
    method = make(synthesis__steps=2, **plain)
    before = copy.deepcopy(method.generator)
    torch.manual_seed(9)
    method.step(student)
    found = [parameter.grad for parameter in method.generator.parameters()]

    torch.manual_seed(9)
    labels, latent = torch.randint(3, (25,)), torch.randn(25, method.config.latent, requires_grad=True)
    fast = copy.deepcopy(before)
    weights = [*fast.parameters()]
    rates = [method.config.learning_rate] * len(weights) + [method.config.latent_rate]
    sums = [torch.zeros_like(weight) for weight in weights]
    for step in (1, 2):
        gradients = torch.autograd.grad(F.cross_entropy(teacher(fast(latent)), labels), [*weights, latent])
        sums = [total + gradient for total, gradient in zip(sums, gradients, strict=False)]
        if step == 1:  # Adam's first step: by the learning rate, against the gradient's sign
            with torch.no_grad():
                for value, gradient, rate in zip([*weights, latent], gradients, rates, strict=True):
                    value.sub_(rate * gradient / (gradient.abs() + 1e-8))
    for gradient, wanted in zip(found, sums, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=1e-6)


def test_every_batch_starts_from_the_common_generator_and_leaves_its_own_way_behind(make, student):
    method = make(synthesis__steps=3)
    started = []
    render = method.fast.forward
    method.fast.forward = lambda z: started.append(copy.deepcopy(method.fast.state_dict())) or render(z)
    for _ in range(2):
        common = copy.deepcopy(method.generator.state_dict())
        del started[:]
        method.step(student)
        weights = [name for name, _ in method.generator.named_parameters()]
        assert all(torch.equal(started[0][name], common[name]) for name in weights)
        assert any(not torch.equal(method.generator.state_dict()[name], common[name]) for name in weights), "it learns"


@pytest.mark.parametrize("learns", [True, False])
def test_the_start_of_a_batch_gets_better_by_the_meta_step_alone(learns, make, student, monkeypatch):
    method = make(synthesis__steps=2, synthesis__latent=32, synthesis__generator_width=16)
    if not learns:
        method.meta.step = lambda: None
    totals, loss = [], InversionLoss.__call__

    def remember(self, *given):
        found = loss(self, *given)
        totals.append(found[0][TOTAL].item())
        return found

    monkeypatch.setattr(InversionLoss, "__call__", remember)
    for _ in range(20):
        method.step(student)
    first, last = totals[0:10:2], totals[-10::2]
    assert (sum(last) < sum(first) - 5 * 2) is learns


def test_latent_vectors_are_drawn_anew_and_labels_too(make, student):
    method = make()
    batches = [method.step(student) for _ in range(2)]
    assert not torch.equal(batches[0].labels, batches[1].labels)
    assert not torch.equal(batches[0].images, batches[1].images)
