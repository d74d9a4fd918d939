"""The noisy layer: drawn anew, one Linear for each set of classes, and trained with the generator."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nayer.synthesis.parts.noisy_layer import NoisyLayer

CLASSES, WIDTH, LATENT = 4, 6, 5


@pytest.fixture
def layer() -> NoisyLayer:
    torch.manual_seed(0)
    return NoisyLayer(torch.randn(CLASSES, WIDTH), LATENT)


def test_each_draw_is_new_standard_normal_noise_with_zero_bias(layer):
    layer.redraw(4000)
    first = layer.weight.detach().clone()
    layer.redraw(4000)
    assert not torch.equal(first, layer.weight)
    assert first.mean().item() == pytest.approx(0, abs=0.02)
    assert first.std().item() == pytest.approx(1, abs=0.02)
    assert not layer.bias.any()


def test_output_does_not_change_without_a_redraw(layer):
    layer.redraw(8)
    assert torch.equal(layer(), layer())


def test_one_linear_serves_one_row_of_each_class(layer):
    labels = layer.redraw(3 * CLASSES)
    assert layer.weight.shape == (3 * LATENT, WIDTH)
    rows, linears = layer.norm(layer.embeddings), layer.weight.split(LATENT)
    expected = torch.stack([linears[i // CLASSES] @ rows[label] for i, label in enumerate(labels)])
    assert torch.allclose(layer(), expected, atol=1e-5)
    assert labels.tolist() == [0, 1, 2, 3] * 3


def test_rest_of_a_batch_is_a_shorter_set_of_distinct_random_classes(layer):
    labels = layer.redraw(2 * CLASSES + 3)
    assert layer.weight.shape == (3 * LATENT, WIDTH)
    assert len(set(labels[-3:].tolist())) == 3
    rows = layer.norm(layer.embeddings)
    assert torch.allclose(layer()[-3:], rows[labels[-3:]] @ layer.weight[-LATENT:].T, atol=1e-5)
    assert len(layer()) == 2 * CLASSES + 3


def test_batches_smaller_than_the_classes_walk_through_a_permutation():
    torch.manual_seed(0)
    layer = NoisyLayer(torch.randn(6, WIDTH), LATENT)
    drawn = [layer.redraw(2).tolist() for _ in range(3)]
    assert sorted(label for pair in drawn for label in pair) == list(range(6))
    assert layer().shape == (2, LATENT)


def test_gradient_reaches_the_random_linear_and_the_norm(layer):
    layer.redraw(9)
    (layer() ** 2).sum().backward()
    for parameter in (layer.weight, layer.bias, layer.norm.weight, layer.norm.bias):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


@pytest.mark.parametrize("shared", ["set", "image", "batch"])
def test_a_linear_is_shared_by_a_set_one_image_or_the_whole_batch(shared):
    layer = NoisyLayer(torch.randn(CLASSES, WIDTH), LATENT, shared=shared)
    labels = layer.redraw(2 * CLASSES + 1)
    own = {"set": lambda i: i // CLASSES, "image": lambda i: i, "batch": lambda i: 0}[shared]
    rows, linears = layer.norm(layer.embeddings), layer.weight.split(LATENT)
    assert len(linears) == {"set": 3, "image": 9, "batch": 1}[shared]
    expected = torch.stack([linears[own(i)] @ rows[label] for i, label in enumerate(labels)])
    torch.testing.assert_close(layer(), expected, atol=1e-5, rtol=1e-4)


def test_one_linear_for_a_batch_makes_all_images_of_a_class_alike(layer):
    shared = NoisyLayer(layer.embeddings, LATENT, shared="batch")
    shared.redraw(2 * CLASSES)
    torch.testing.assert_close(*shared().chunk(2))
    layer.redraw(2 * CLASSES)
    assert not torch.allclose(*layer().chunk(2))


def test_a_fixed_linear_stays_through_all_draws(layer):
    fixed = NoisyLayer(layer.embeddings, LATENT, drawn="fixed")
    fixed.redraw(8)
    weight = fixed.weight
    assert fixed.redraw(8).tolist() == [0, 1, 2, 3] * 2
    assert fixed.weight is weight


def test_without_a_linear_the_normalised_rows_are_the_output(layer):
    plain = NoisyLayer(layer.embeddings, LATENT, drawn="none")
    labels = plain.redraw(6)
    assert (plain.latent, plain.linear) == (WIDTH, [])
    torch.testing.assert_close(plain(), layer.norm(layer.embeddings)[labels])


def test_rows_that_are_not_normalised_are_the_embeddings_themselves(layer):
    raw = NoisyLayer(layer.embeddings, LATENT, drawn="none", normalised=False)
    raw.redraw(CLASSES)
    assert torch.equal(raw(), layer.embeddings)
    assert list(raw.norm.parameters()) == []


@pytest.mark.parametrize("shared", ["set", "image"])
@pytest.mark.parametrize("given", ["embeddings", "noise"])
def test_an_ablation_multiplies_no_more_than_the_layer_as_published(shared, given):
    layer = NoisyLayer(torch.randn(CLASSES, WIDTH), LATENT, shared=shared, given=given)
    layer.redraw(2 * CLASSES)
    with FlopCounterMode(display=False) as counted:
        layer()
    assert counted.get_total_flops() == 2 * 2 * CLASSES * WIDTH * LATENT


def test_noise_is_another_row_for_every_image_and_every_batch():
    torch.manual_seed(0)
    layer = NoisyLayer(torch.randn(CLASSES, WIDTH), LATENT, given="noise")
    drawn = []
    for _ in range(2):
        assert layer.redraw(2 * CLASSES + 1).tolist()[:4] == [0, 1, 2, 3]
        drawn.append(layer.rows)
        expected = [layer.weight.split(LATENT)[i // CLASSES] @ row for i, row in enumerate(layer.norm(layer.rows))]
        torch.testing.assert_close(layer(), torch.stack(expected), atol=1e-5, rtol=1e-4)
    assert drawn[0].shape == (9, WIDTH)
    assert not torch.equal(*drawn)


@pytest.mark.parametrize(("drawn", "outputs"), [("none", WIDTH), ("per_batch", LATENT)])
def test_noise_stands_beside_what_comes_of_the_embeddings(drawn, outputs):
    torch.manual_seed(0)
    layer = NoisyLayer(torch.randn(CLASSES, WIDTH), LATENT, drawn=drawn, given="embeddings_and_noise")
    first, labels = [], []
    for _ in range(2):
        labels.append(layer.redraw(2 * CLASSES + 1))
        rows, noise = layer().split([outputs, WIDTH], 1)
        assert noise.unique(dim=0).shape == (2 * CLASSES + 1, WIDTH), "another for every image"
        if drawn == "none":
            torch.testing.assert_close(rows, layer.norm(layer.embeddings)[labels[-1]])
        first.append(noise)
    assert layer.latent == outputs + WIDTH
    assert not torch.equal(*first)
