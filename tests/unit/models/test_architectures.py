"""Architectures: published sizes, any channel count, names with suggestions."""

import pytest
import torch

from nayer.core.errors import InputError
from nayer.models.architectures import build_network, check_image_size


def count(architecture: str, channels: int = 3, classes: int = 10) -> int:
    return sum(p.numel() for p in build_network(architecture, channels, classes).parameters())


@pytest.mark.parametrize(
    ("architecture", "millions"),
    [
        # The sizes that the papers and the literature of small images state.
        ("wrn-40-2", 2.2),
        ("wrn-16-1", 0.2),
        ("wrn-16-2", 0.7),
        ("wrn-40-1", 0.6),
        ("resnet-18", 11.2),
        ("resnet-34", 21.3),
        ("vgg-11-bn", 9.2),
    ],
)
def test_sizes_are_the_published_ones(architecture, millions):
    assert count(architecture) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize("architecture", ["wrn-10-1", "resnet-18", "vgg-11-bn"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_channel_count_gives_one_logit_per_class(architecture, channels):
    network = build_network(architecture, channels, 7).eval()
    assert network(torch.rand(2, channels, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("name", ["wrn-11-1", "wrn-4-1"])
def test_an_impossible_depth_is_named(name):
    with pytest.raises(InputError, match=rf"teacher\.architecture: '{name}'.*6 n \+ 4"):
        build_network(name, 1, 2, "teacher.architecture")


def test_an_unknown_name_comes_with_the_nearest_and_all_choices():
    with pytest.raises(InputError, match="Did you mean 'resnet-18'.*vgg-11-bn"):
        build_network("resnet18", 1, 2)


def test_vgg_refuses_images_that_its_pooling_would_empty():
    with pytest.raises(InputError, match="at least 16 pixels"):
        check_image_size("vgg-11-bn", 8, "teacher.architecture")
