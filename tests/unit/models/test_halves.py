"""Half of a network: as deep, half as wide, made of its own weights."""

import pytest
import torch
from transformers import ConvNextConfig, MobileNetV2Config, ResNetConfig, SwinConfig, ViTConfig

from nayer.core.errors import InputError
from nayer.models.architectures import build_network, check_logits
from nayer.models.configured import kinds, spelt
from nayer.models.halves import half_as_wide
from nayer.models.inheritance import inherit, inherited_share

KEY = "STUDENT"
# By other keys than those of a width, by numbers that are told together, or of two towers.
UNKNOWN = {"clip", "hgnet_v2", "imagegpt", "metaclip_2", "perceiver", "pp_lcnet", "shieldgemma2", "siglip", "siglip2"}
SMALL = [
    ConvNextConfig(depths=[1, 2], hidden_sizes=[8, 16], num_stages=2, patch_size=2, image_size=16),
    ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, image_size=16, patch_size=4
    ),
    SwinConfig(embed_dim=12, depths=[1, 1], num_heads=[3, 6], window_size=2, image_size=16, patch_size=2),
    MobileNetV2Config(depth_multiplier=0.5, image_size=16),
    ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
]


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.model_type)
def test_half_of_a_network_answers_and_is_made_of_its_weights(config):
    name = spelt(config)
    network, half = (build_network(each, 1, 4, KEY).eval() for each in (name, half_as_wide(name, KEY)))
    check_logits(half, 1, 16, 4, KEY)
    sizes = [sum(each.numel() for each in one.parameters()) for one in (half, network)]
    assert sizes[0] < 0.6 * sizes[1]
    assert inherited_share(half, network) > 0.9
    inherit(half, network)
    kept = {value.item() for value in torch.cat([each.detach().flatten() for each in network.parameters()])}
    head = [value for name, value in half.named_parameters() if "classifier" in name and name.endswith("weight")][-1]
    assert {value.item() for value in head.flatten()} <= kept
    told = network.model.config.to_dict(), half.model.config.to_dict()
    for key in ("depths", "num_hidden_layers", "num_attention_heads", "num_heads", "patch_size", "image_size"):
        assert told[0].get(key) == told[1].get(key), "only the width differs"


@pytest.mark.parametrize("kind", sorted({*kinds()} - {"dinat"}))
def test_of_every_kind_a_half_is_known_or_refused(kind):
    name = f"transformers:{kind}"
    if kind in UNKNOWN:
        with pytest.raises(InputError, match=r"STUDENT: 'half': its configuration says no width that can be halved"):
            half_as_wide(name, KEY)
        return
    with torch.device("meta"):
        network, half = (build_network(each, 3, 4, KEY) for each in (name, half_as_wide(name, KEY)))
    sizes = [sum(each.numel() for each in one.parameters()) for one in (half, network)]
    assert sizes[0] < 0.6 * sizes[1]
    assert inherited_share(half, network) > 0.8


def test_half_of_a_wide_residual_network_is_half_as_wide():
    assert half_as_wide("wrn-40-2", KEY) == "wrn-40-1"
    assert half_as_wide("wrn-16-4", KEY) == "wrn-16-2"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrn-16-1", "is known of networks of transformers and of wrn-D-W with an even W, not of 'wrn-16-1'; name"),
        ("torchvision:resnet18", "not of 'torchvision:resnet18'"),
        ("my.network:make", "not of 'my.network:make'"),
        ('transformers:convnext{"hidden_sizes":[7,14],"depths":[1,1],"num_stages":2}', "no width that can be halved"),
    ],
)
def test_what_has_no_half_is_refused_in_a_sentence(name, words):
    with pytest.raises(InputError, match=words):
        half_as_wide(name, KEY)
