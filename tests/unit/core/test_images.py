"""Augmentation is drawn per image, differentiable, and a crop of the padded image."""

import torch

from nayer.core.images import Augmentation, to_float, to_uint8


def test_every_image_of_a_batch_gets_its_own_crop_and_flip():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 8, 8)
    views = Augmentation(padding=2, flip=True)(image.expand(64, -1, -1, -1))
    distinct = {view.numpy().tobytes() for view in views}
    assert len(distinct) > 25, "a batch-wide draw would give one view"


def test_views_are_exactly_the_possible_crops_of_the_padded_image():
    torch.manual_seed(0)
    image = torch.rand(1, 1, 4, 4)
    padded = torch.nn.functional.pad(image, [1] * 4)
    crops = [padded[0, :, r : r + 4, c : c + 4] for r in range(3) for c in range(3)]
    possible = {crop.numpy().tobytes() for crop in crops + [crop.flip(2).contiguous() for crop in crops]}
    augment = Augmentation(padding=1, flip=True)
    views = augment(image.repeat(300, 1, 1, 1))
    assert {view.contiguous().numpy().tobytes() for view in views} == possible
    every = augment.crop(image.repeat(augment.crop_count, 1, 1, 1), augment.every(image.device))
    assert {view.contiguous().numpy().tobytes() for view in every} == possible


def test_no_flip_means_no_flip():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    views = Augmentation(padding=0, flip=False)(image.repeat(20, 1, 1, 1))
    assert torch.equal(views, image.repeat(20, 1, 1, 1))


def test_gradient_passes_through_the_augmentation():
    images = torch.rand(5, 1, 4, 4, requires_grad=True)
    Augmentation(padding=1, flip=True)(images).sum().backward()
    assert images.grad is not None
    assert set(images.grad.unique().tolist()) <= {0.0, 1.0}
    assert images.grad.sum() > 0


def test_uint8_round_trip_keeps_every_grey_level():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_uint8(to_float(levels)), levels)
