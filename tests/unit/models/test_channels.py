"""Which channels a narrower layer keeps."""

import pytest
import torch
from torch import nn

from nayer.models.architectures import build_network
from nayer.models.channels import Telling, evenly, lies_in_parts, telling


def explained(values: torch.Tensor, places: list[int]) -> float:
    """Sum of squares of all channels that some of them explain, by least squares."""
    some = values[:, places]
    return float((some @ torch.linalg.lstsq(some, values).solution).square().sum())


def test_the_next_channel_is_that_with_which_most_of_all_follows():
    torch.manual_seed(0)
    values = torch.randn(50, 4).double() @ torch.randn(4, 7).double() + 0.1 * torch.randn(50, 7).double()
    expected: list[int] = []
    for wanted in range(1, 6):
        rest = [place for place in range(7) if place not in expected]
        expected.append(max(rest, key=lambda place: explained(values, [*expected, place])))
        assert telling(values.T @ values, wanted, torch.arange(7)).tolist() == sorted(expected)


def test_of_channels_that_say_the_same_one_is_enough():
    torch.manual_seed(0)
    values = torch.randn(40, 3).double()[:, [0, 0, 1, 2, 2, 1]]
    chosen = telling(values.T @ values, 3, torch.arange(6))
    assert {[0, 0, 1, 2, 2, 1][place] for place in chosen} == {0, 1, 2}


@pytest.mark.parametrize(("length", "wanted"), [(8, 4), (6, 4), (12, 3)])
def test_in_parts_there_is_one_of_each(length, wanted):
    torch.manual_seed(0)
    values = torch.randn(30, length).double() * torch.arange(1, length + 1)
    choice = Telling({length: values.T @ values}, in_parts=True)
    assert (choice(length, wanted) * wanted // length).tolist() == list(range(wanted))


@pytest.mark.parametrize("square", [torch.zeros(5, 5), torch.ones(5, 5)], ids=["silent", "alike"])
def test_as_many_are_chosen_as_are_wanted_even_if_they_say_nothing_more(square):
    assert telling(square.double(), 4, torch.arange(5)).unique().numel() == 4


def test_channels_that_nobody_heard_are_spaced_evenly():
    assert Telling({}, in_parts=False)(9, 3).tolist() == evenly(9, 3).tolist() == [0, 4, 8]


@pytest.mark.parametrize(
    ("architecture", "parts"),
    [
        ("wrn-10-1", False),
        ("timm:mobilenetv3_small_050", False),
        ("torchvision:resnext50_32x4d", True),
        ("torchvision:vit_b_16", True),
        ('transformers:vit{"image_size":32,"patch_size":8,"hidden_size":16,"num_hidden_layers":1}', True),
        ('transformers:convnext{"depths":[1,1],"hidden_sizes":[8,16],"num_stages":2,"image_size":32}', False),
    ],
)
def test_heads_and_groups_are_parts_of_one_size(architecture, parts):
    with torch.device("meta"):
        network = build_network(architecture, 3, 2, "key")
    assert lies_in_parts(network) is parts


def test_groups_that_are_normalised_are_parts():
    assert lies_in_parts(nn.Sequential(nn.GroupNorm(2, 4)))
    assert not lies_in_parts(nn.Sequential(nn.GroupNorm(1, 4), nn.Conv2d(4, 4, 3, groups=4)))


def test_of_queries_keys_and_values_in_one_table_the_same_are_taken():
    torch.manual_seed(0)
    values = torch.randn(30, 8).double()
    choice = Telling({8: values.T @ values}, in_parts=True)
    one = choice(8, 4)
    assert choice(24, 12).tolist() == [*one, *(8 + one), *(16 + one)]
    assert choice(26, 13).tolist() == evenly(26, 13).tolist()
