"""Random parts of images, stretched to full size."""

import torch

from nayer.synthesis.parts.views import random_resized_crop


def test_a_part_shows_between_a_quarter_and_all_of_an_image():
    torch.manual_seed(0)
    size = 64
    across = torch.arange(size).float().expand(size, size) / size
    images = torch.stack([across, across.T]).expand(500, 2, size, size)
    parts = random_resized_crop(images)
    assert parts.shape == images.shape
    width, height = ((each.amax((1, 2)) - each.amin((1, 2))) for each in parts.unbind(1))
    area = width * height
    assert 0.2 < area.min() < 0.35
    assert 0.85 < area.max() <= 1
    aspect = width / height
    assert 0.7 < aspect.min() < 0.85
    assert 1.18 < aspect.max() < 1.43
    flipped = parts[:, 0, :, -1].mean(1) < parts[:, 0, :, 0].mean(1)
    assert 0.4 < flipped.float().mean() < 0.6


def test_nothing_from_beyond_the_image_is_shown_and_gradients_pass():
    images = torch.ones(50, 1, 8, 8, requires_grad=True)
    parts = random_resized_crop(images)
    torch.testing.assert_close(parts[:, :, 1:-1, 1:-1], torch.ones(50, 1, 6, 6))
    parts.sum().backward()
    assert (images.grad.sum((1, 2, 3)) > 0).all()
