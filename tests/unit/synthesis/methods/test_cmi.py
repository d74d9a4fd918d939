"""CMI's idea: a fresh generator for every batch, and images that differ from all earlier ones."""

import math

import pytest
import torch

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL
from nayer.synthesis.methods.cmi import Cmi
from nayer.synthesis.parts.losses import contrastive_loss


@pytest.fixture
def make(make_method):
    return lambda **changes: make_method("cmi", **{"synthesis__steps": 2, **changes})


def test_contrast_asks_each_part_to_find_its_whole_among_this_batch_and_earlier_ones():
    """Compared with sums written out: new and earlier images weigh the same, however many there are."""
    torch.manual_seed(0)
    parts, wholes, new = torch.randn(7, 3), torch.randn(7, 3), 2
    each = []
    for i, part in enumerate(parts):
        likeness = [(part @ whole / (part.norm() * whole.norm()) / 0.1).item() for whole in wholes]
        each.append(math.log(sum(math.exp(value) for value in likeness)) - likeness[i])
    expected = sum(each[:new]) / new + sum(each[new:]) / (7 - new)
    assert contrastive_loss(parts, wholes, new, 0.1).item() == pytest.approx(expected, rel=1e-5)
    assert contrastive_loss(parts[:2], wholes[:2], 2, 0.1).isfinite(), "the first batch has no earlier ones"


def test_features_are_the_channel_means_of_what_each_batchnorm_is_given(make, teacher):
    method = make(augmentation__padding=0)
    images = torch.rand(4, 1, 8, 8)
    with method.features.recording(), torch.no_grad():
        teacher(images)
        part, whole = method.features_of(images)
    network = teacher.network
    stem = network.stem((images - teacher.mean) / teacher.std)
    assert part.shape == whole.shape == (4, method.width)
    torch.testing.assert_close(whole[:, : stem.shape[1]], stem.mean((2, 3)))
    torch.testing.assert_close(whole[:, -network.bn.num_features :], network.groups(stem).mean((2, 3)))
    assert not torch.equal(part, whole)


def test_what_it_says_to_keep_is_the_full_bank_and_the_projection_with_its_means(make, student):
    method = make(synthesis__bank=25, synthesis__batch_size=25)
    method.step(student)
    kept = [method.bank, *method.project.parameters()]
    kept += [each for state in method.optimiser.state.values() for each in state.values() if each.ndim]
    assert method.kept_bytes == sum(each.nbytes for each in kept)


def test_every_batch_starts_from_fresh_weights(make, student):
    method, started = make(), []
    render = method.generator.forward
    method.generator.forward = lambda z: started.append(method.generator.project.weight.detach().clone()) or render(z)
    for _ in range(2):
        method.step(student)
    first, again = started[0], started[2]
    assert not torch.equal(first, again)
    assert all(each.std().item() == pytest.approx(0.02, rel=0.15) for each in (first, again))


def test_the_bank_keeps_the_newest_features_of_both_views(make, student):
    method = make(synthesis__bank=40, synthesis__batch_size=25)
    sizes = []
    for _ in range(2):
        method.step(student)
        sizes.append(tuple(method.bank.shape))
    assert sizes == [(25, 2 * method.width), (40, 2 * method.width)]
    assert not method.bank.requires_grad


def test_contrast_alone_moves_generator_latent_vectors_and_projection(make, student):
    off = {f"synthesis__{name}_weight": 0.0 for name in ("ce", "bn", "adversarial")}
    method = make(synthesis__steps=6, **off)
    method.step(student)
    before = [weight.detach().clone() for weight in method.project.parameters()]
    losses = method.step(student).losses
    assert all(not torch.equal(*pair) for pair in zip(before, method.project.parameters(), strict=True))
    assert all(state["step"] == 2 * 6 for state in method.optimiser.state.values()), "one optimiser for all batches"
    assert losses[TOTAL].item() == pytest.approx(0.8 * losses["contrast"].item(), rel=1e-6)


def test_images_of_a_batch_come_to_be_told_apart(make, student):
    found = []
    for steps in (1, 40):
        torch.manual_seed(1)
        found.append(make(synthesis__steps=steps, synthesis__learning_rate=0.01).step(student).losses["contrast"])
    assert found[1] < found[0] - 0.1


def test_a_teacher_without_batchnorm_is_refused(teacher, distill_config):
    plain = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 8), torch.nn.Flatten())
    bare = Classifier(plain, "bare", teacher.class_names, teacher.images)
    with pytest.raises(InputError, match="by inputs of BatchNorm2d, but 'bare' has none"):
        Cmi.check(distill_config(synthesis__method="cmi", synthesis__bn_weight=0.0).synthesis, bare)
