"""A small network inherits layers and channels of a larger one of its family."""

import pytest
import torch
from torch import nn

from nayer.models.architectures import build_network
from nayer.models.inheritance import counterparts, inherit, inherited_share

PAIRS = {
    ("wrn-16-1", "wrn-10-1"): {0: 0, 1: 2, 2: 4},
    ("wrn-40-2", "wrn-16-1"): {0: 0, 1: 1, 2: 6, 3: 7, 4: 12, 5: 13},
    ("resnet-34", "resnet-18"): {0: 0, 1: 1, 2: 3, 3: 4, 4: 7, 5: 8, 6: 13, 7: 14},
}


def numbered(network: nn.Module) -> nn.Module:
    """Give every weight a value that tells its channels: 1000 * output + input."""
    for value in network.state_dict().values():
        if value.ndim:
            outputs = torch.arange(value.shape[0]).view(-1, *[1] * (value.ndim - 1))
            inputs = torch.arange(value.shape[1]).view(1, -1, *[1] * (value.ndim - 2)) if value.ndim > 1 else 0
            value.copy_((1000 * outputs + inputs).expand_as(value))
    return network


def test_of_its_own_architecture_a_network_inherits_everything():
    torch.manual_seed(0)
    network, heir = (build_network("wrn-10-1", 1, 3, "key").eval() for _ in range(2))
    images = torch.rand(2, 1, 8, 8)
    assert not torch.equal(heir(images), network(images))
    inherit(heir, network)
    assert torch.equal(heir(images), network(images))
    assert inherited_share(heir, network) == 1


@pytest.mark.parametrize(("pair", "blocks"), PAIRS.items(), ids=lambda each: "-".join(map(str, each)))
def test_the_first_blocks_of_each_stage_correspond(pair, blocks):
    network, heir = (build_network(each, 3, 10, "key") for each in pair)
    found = counterparts(heir, network)
    for mine, theirs in blocks.items():
        assert found[f"groups.{mine}.conv1.weight"] == f"groups.{theirs}.conv1.weight"
        assert found[f"groups.{mine}.bn2.running_var"] == f"groups.{theirs}.bn2.running_var"
    assert {found[name] for name in ("stem.weight", "head.bias")} == {"stem.weight", "head.bias"}


def test_the_same_channels_are_taken_wherever_they_appear():
    heir, network = build_network("wrn-16-1", 3, 10, "key"), numbered(build_network("wrn-16-2", 3, 10, "key"))
    inherit(heir, network)
    block = heir.groups[3]
    channels = block.bn1.running_mean / 1000
    assert channels.tolist() == [round(63 * place / 31) for place in range(32)]
    for weight in (block.conv1.weight, block.conv2.weight):
        assert torch.equal(weight[:, 0, 0, 0] // 1000, channels)
        assert torch.equal(weight[0, :, 0, 0] % 1000, channels)
    assert (heir.head.weight[:, 0] // 1000).tolist() == list(range(10)), "every class"


def test_what_has_no_counterpart_keeps_its_values():
    heir, network = build_network("wrn-16-1", 3, 10, "key"), numbered(build_network("wrn-10-1", 3, 10, "key"))
    before = {name: value.clone() for name, value in heir.state_dict().items()}
    inherit(heir, network)
    after = heir.state_dict()
    assert torch.equal(after["groups.1.conv1.weight"], before["groups.1.conv1.weight"]), "a second block"
    assert torch.equal(after["groups.2.conv1.weight"], network.state_dict()["groups.1.conv1.weight"])
    assert 0.4 < inherited_share(heir, network) < 0.6


def test_blocks_within_blocks_follow_those_around_them():
    def row(blocks: int) -> nn.Sequential:
        inner = [nn.Sequential(nn.Conv2d(2, 2, 1, stride=1 + (place % blocks == 0))) for place in range(2 * blocks)]
        return nn.Sequential(*inner)

    found = counterparts(row(1), row(2))
    assert {name: source for name, source in found.items() if "weight" in name} == {
        "0.0.weight": "0.0.weight",
        "1.0.weight": "2.0.weight",
    }


def test_networks_of_other_families_have_next_to_nothing_in_common():
    network = build_network("vgg-11-bn", 3, 10, "key")
    assert inherited_share(build_network("resnet-18", 3, 10, "key"), network) < 0.01
    assert inherited_share(build_network("torchvision:resnet18", 3, 10, "key"), network) < 0.01


class Table(nn.Module):
    """Like the position embeddings of a ViT: a row for each token."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.arange(tokens * channels, dtype=torch.float).view(1, tokens, channels))


def test_a_table_of_tokens_is_inherited_channel_by_channel_and_of_other_tokens_not_at_all():
    heir = Table(5, 3)
    inherit(heir, Table(5, 5))
    assert heir.places[0, 1].tolist() == [5, 7, 9]
    assert counterparts(Table(4, 3), Table(5, 5)) == {}


def test_kernels_of_another_size_are_no_part():
    assert counterparts(nn.Conv1d(1, 1, 3, bias=False), nn.Conv1d(1, 1, 5, bias=False)) == {}
