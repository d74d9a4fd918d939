"""The generator makes images of every size that it supports, and refuses others with a message."""

import pytest
import torch
import torch.nn.functional as F

from nayer.core.errors import InputError
from nayer.synthesis.parts.generator import Generator, UpsampledConv2d


@pytest.mark.parametrize(("size", "start"), [(8, 2), (28, 7), (32, 8), (64, 16), (224, 14)])
def test_images_have_the_size_asked_for_and_lie_in_the_unit_interval(size, start):
    generator = Generator(latent=5, width=2, image_size=size, channels=3)
    images = generator(torch.randn(4, 5))
    assert images.shape == (4, 3, size, size)
    assert images.min() >= 0
    assert images.max() <= 1
    assert generator.start[1:] == (start, start)


def test_widths_are_those_of_the_paper_at_32_pixels():
    generator = Generator(latent=1000, width=64, image_size=32, channels=3)
    convolutions = [m for m in generator.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(128, 128), (128, 64), (64, 3)]
    assert generator.project.out_features == 128 * 8 * 8


@pytest.mark.parametrize("size", [4, 9, 30, 100])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(InputError, match=f"data.image_size: {size}"):
        Generator(5, 2, size, 1)


@pytest.mark.parametrize("size", [2, 7])
def test_an_upsampled_convolution_is_an_upsampling_and_a_convolution(size):
    torch.manual_seed(0)
    layer = UpsampledConv2d(3, 5).double()
    x = torch.randn(2, 3, size, size, dtype=torch.double, requires_grad=True)
    by_two = F.conv2d(F.interpolate(x, scale_factor=2), layer.weight, layer.bias, padding=1)
    inputs, weights = (x, layer.weight, layer.bias), torch.rand_like(by_two)
    at_once = layer(x)
    torch.testing.assert_close(at_once, by_two)
    expected = torch.autograd.grad((by_two * weights).sum(), inputs)
    torch.testing.assert_close(torch.autograd.grad((at_once * weights).sum(), inputs), expected)
