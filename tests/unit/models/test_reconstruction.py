"""Layers of a narrower network answer like those that they are made from."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nayer.models import reconstruction
from nayer.models.architectures import build_network
from nayer.models.channels import evenly
from nayer.models.inheritance import inherit
from nayer.models.reconstruction import RIDGE, fitted_layers, inputs_at, pictures_for, reconstruct


def two_convolutions(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 6, 3, padding=1)).eval()


@pytest.fixture
def pair() -> tuple[nn.Sequential, nn.Sequential]:
    torch.manual_seed(0)
    return two_convolutions(4), two_convolutions(8)


def test_a_layer_gets_the_weights_of_a_ridge_regression_on_what_now_comes_to_it(pair):
    heir, network = pair
    images = torch.rand(4, 3, 6, 6)
    reconstruct(heir, network, images)
    # The first layer keeps all its inputs, so that its weights show which channels were chosen.
    distance = (heir[0].weight[:, None] - network[0].weight).abs().amax((2, 3, 4))
    assert (distance.amin(1) < 1e-6).all()
    inherited = network[2].weight[:, distance.argmin(1)]
    rows = F.unfold(heir[:2](images), 3, padding=1).movedim(1, 2).flatten(0, 1)
    rows = F.pad(rows, (0, 1), value=1.0).double()
    held = torch.cat([inherited.flatten(1), network[2].bias[:, None]], 1).double().T
    strength = (RIDGE * rows.square().sum(0).mean()).sqrt()
    wanted = network(images).movedim(1, 3).flatten(0, 2).double()
    # The ridge written as further rows of plain least squares, which hold the weights near those inherited.
    more = torch.cat([rows, strength * torch.eye(len(held)).double()]), torch.cat([wanted, strength * held])
    expected = torch.linalg.lstsq(*more).solution.T.float()
    assert torch.allclose(heir[2].weight.flatten(1), expected[:, :-1], atol=1e-5)
    assert torch.allclose(heir[2].bias, expected[:, -1], atol=1e-5)


def test_channels_that_are_said_twice_can_go_without_a_trace(pair):
    heir, network = pair
    with torch.no_grad():
        for value in (network[0].weight, network[0].bias):
            value.copy_(value[torch.arange(8) // 2 * 2])
    images, others = torch.rand(2, 32, 3, 8, 8)
    inherit(heir, network)
    before = (heir(others) - network(others)).square().mean()
    reconstruct(heir, network, images)
    assert (heir(others) - network(others)).square().mean() < before / 100


@pytest.mark.parametrize(("smaller", "larger"), [("wrn-16-1", "wrn-16-2"), ("resnet-18", "resnet-34")])
def test_the_heir_of_a_whole_network_comes_nearer_to_it(smaller, larger):
    torch.manual_seed(0)
    heir, network = (build_network(name, 3, 10, "key").eval() for name in (smaller, larger))
    inherit(heir, network)
    images, others = torch.randn(2, 16, 3, 16, 16)
    before = F.mse_loss(heir(others), network(others))
    weights = copy.deepcopy(network.state_dict())
    reconstruct(heir, network, images)
    assert F.mse_loss(heir(others), network(others)) < before / 2
    assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in (*heir.modules(), *network.modules())
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 2, 3, padding=1),
        nn.Conv2d(3, 2, (3, 1), stride=(2, 1), padding=(1, 0)),
        nn.Conv2d(3, 2, 2, stride=2),
        nn.Conv2d(3, 2, 3, padding=2, dilation=2),
    ],
    ids=["plain", "oblong", "patches", "dilated"],
)
def test_windows_are_those_that_a_convolution_multiplies(layer):
    images = torch.rand(2, 3, 7, 8)
    answers = layer(images).movedim(1, -1)
    places = torch.tensor([[0, 0, 0], [1, 2, 3], [1, answers.shape[1] - 1, answers.shape[2] - 1]])
    product = inputs_at(layer, images, places) @ layer.weight.flatten(1).T + layer.bias
    assert torch.allclose(product, answers[places.unbind(1)], atol=1e-6)


def test_of_tokens_each_is_a_row():
    tokens = torch.rand(2, 5, 3)
    assert torch.equal(inputs_at(nn.Linear(3, 4), tokens, torch.tensor([[1, 4], [0, 2]])), tokens[[1, 0], [4, 2]])


def test_layers_that_are_more_than_a_product_keep_what_they_inherited(monkeypatch):
    class Other(nn.Conv2d):
        """A subclass that might do anything."""

    def network(width: int) -> nn.Module:
        return nn.ModuleDict(
            {
                "depthwise": nn.Conv2d(width, width, 3, groups=width),
                "named": nn.Conv2d(width, 4, 3, padding="same"),
                "mirrored": nn.Conv2d(width, 4, 3, padding=1, padding_mode="reflect"),
                "other": Other(width, 4, 3),
                "wide": nn.Linear(width * 100, 2),
                "plain": nn.Linear(width, 4),
            }
        )

    heir, larger = network(4), network(8)
    monkeypatch.setattr(reconstruction, "MOST_INPUTS", 300)
    assert fitted_layers(heir, larger) == [(heir["plain"], larger["plain"])]


def test_a_layer_without_input_keeps_its_weights_and_one_that_is_asked_twice_is_fitted_once(pair):
    heir, network = pair
    with torch.no_grad():
        for each in pair:
            each[0].weight.zero_()
            each[0].bias.fill_(-1)
    reconstruct(heir, network, torch.rand(2, 3, 4, 4))
    assert torch.equal(heir[2].weight, network[2].weight[:, :4]), "one channel is as good as another"

    class Twice(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(3, width), nn.Linear(width, 3)

        def forward(self, images):
            return self.down(self.up(self.down(self.up(images))))

    torch.manual_seed(0)
    small, large = Twice(2), Twice(4)
    images = torch.rand(50, 3)
    inherit(small, large)
    before = (small.down(small.up(images)) - large.down(large.up(images))).square().mean()
    reconstruct(small, large, images)
    assert (small.down(small.up(images)) - large.down(large.up(images))).square().mean() < before


@pytest.mark.parametrize(
    ("name", "most", "kept"),
    [("MOST_SAID", (8 + 6) * 10, [10, 10]), ("MOST_GIVEN", 3 * 9 * 10, [10, 3 * 9 * 10 // (4 * 9)])],
)
def test_of_large_networks_fewer_places_are_kept_and_wide_layers_are_cut_evenly(name, most, kept, pair, monkeypatch):
    heir, network = pair
    solve, rows = reconstruction.least_squares, []
    monkeypatch.setattr(reconstruction, name, most)
    monkeypatch.setattr(reconstruction, "MOST_CHANNELS", 4)
    monkeypatch.setattr(
        reconstruction, "least_squares", lambda inputs, wanted: rows.append(len(inputs)) or solve(inputs, wanted)
    )
    reconstruct(heir, network, torch.rand(2, 3, 6, 6))
    assert rows == kept
    assert torch.allclose(heir[0].weight, network[0].weight[evenly(8, 4)], atol=1e-6)


def test_there_are_fewer_pictures_of_large_ones():
    assert [pictures_for(size) for size in (28, 64, 224, 2048)] == [512, 512, 41, 1]
