"""Half of a network: equally deep, half as wide, made of the network's own weights."""

import copy
from itertools import chain, pairwise

import pytest
import torch
from transformers import ConvNextConfig, MobileNetV2Config, ResNetConfig, SwinConfig, ViTConfig

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.models.architectures import build_network, is_own, may_run, trust
from nayer.models.classifier import Classifier
from nayer.models.configured import configuration, kinds, spelt
from nayer.models.halves import half_of
from nayer.models.inheritance import inherit, inherited_share
from nayer.models.narrowing import narrow

KEY = "STUDENT"
# Kinds with two towers of which one is read, or that split their outputs in ways of their own.
UNKNOWN = {"imagegpt", "perceiver", "pp_lcnet", "shieldgemma2", "siglip2"}
SMALL = [
    ConvNextConfig(depths=[1, 2], hidden_sizes=[8, 16], num_stages=2, patch_size=2, image_size=16),
    ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48, image_size=16, patch_size=4
    ),
    SwinConfig(embed_dim=12, depths=[1, 1], num_heads=[3, 6], window_size=2, image_size=16, patch_size=2),
    MobileNetV2Config(depth_multiplier=0.5, image_size=16),
    ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"),
]


def classifier(architecture: str, size: int = 32, channels: int = 3) -> Classifier:
    images = ImageSpec(size, channels, (0.5,) * channels, (0.5,) * channels)
    return Classifier.build(architecture, ("a", "b", "c", "d"), images).eval()


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.model_type)
def test_half_of_a_network_answers_and_is_made_of_its_weights(config):
    teacher = classifier(spelt(config), 16, 1)
    made = half_of(teacher, KEY)
    network, half = teacher.network, made.network
    assert made.architecture.startswith(f"transformers:{config.model_type}{{")
    assert made.parameter_count < 0.6 * teacher.parameter_count
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
    size = getattr(configuration(kind, KEY), "image_size", None) or 224
    with torch.device("meta"):  # at their default sizes they would take too much memory
        teacher = classifier(f"transformers:{kind}", size if isinstance(size, int) else size[0])
        if kind in UNKNOWN:
            with pytest.raises(InputError, match=f"'transformers:{kind}' relies on its full widths internally"):
                half_of(teacher, KEY)
            return
        half = half_of(teacher, KEY)
    assert half.parameter_count < 0.6 * teacher.parameter_count
    assert inherited_share(half.network, teacher.network) > 0.8


def test_half_of_a_wide_residual_network_is_half_as_wide():
    assert half_of(classifier("wrn-10-2"), KEY).architecture == "wrn-10-1"
    assert half_of(classifier("wrn-10-4"), KEY).architecture == "wrn-10-2"


NETWORKS = [
    *("wrn-10-1", "resnet-18", "vgg-11-bn", "torchvision:resnet18", "torchvision:regnet_x_400mf"),
    *("torchvision:efficientnet_b0", "torchvision:mobilenet_v3_small"),
    *("timm:test_resnet", "timm:convnext_atto", "timm:mobilenetv3_small_050", "timm:resnext26ts", "timm:ecaresnet26t"),
]


@pytest.mark.parametrize("name", NETWORKS)
def test_half_of_any_network_of_convolutions_has_its_layers_with_half_the_channels(name):
    teacher = classifier(name)
    half = half_of(teacher, KEY)
    assert half.architecture == f"half:{name}"
    assert 0.2 < half.parameter_count / teacher.parameter_count < 0.3
    pairs = zip(teacher.network.modules(), half.network.modules(), strict=True)
    layers = [both for both in pairs if isinstance(both[0], torch.nn.Conv2d)]
    assert [one.kernel_size for one, _ in layers] == [other.kernel_size for _, other in layers]
    assert all(other.out_channels == (one.out_channels + 1) // 2 for one, other in layers)
    assert layers[0][1].in_channels == 3
    assert inherited_share(half.network, teacher.network) == 1


def test_half_of_half_of_a_network_is_a_fourth_as_wide(tmp_path):
    half = half_of(classifier("resnet-18", channels=1), KEY)
    quarter = half_of(half, KEY)
    assert quarter.architecture == "half:half:resnet-18"
    assert quarter.network.stem.out_channels == 16
    quarter.save(tmp_path / "quarter.safetensors")
    again = Classifier.load(tmp_path / "quarter.safetensors")
    pixels = torch.rand(2, 1, 32, 32)
    assert torch.equal(again(pixels), quarter(pixels))


@pytest.mark.parametrize(
    ("name", "size"), [("torchvision:vit_b_16", 64), ("timm:test_vit", 160), ("timm:vit_tiny_patch16_224", 32)]
)
def test_half_of_a_vit_keeps_its_heads_each_of_half_the_width(name, size):
    teacher = classifier(name, size)
    half = half_of(teacher, KEY)
    heads = [(getattr(each, "num_heads", None), getattr(each, "head_dim", None)) for each in teacher.network.modules()]
    kept = [(getattr(each, "num_heads", None), getattr(each, "head_dim", None)) for each in half.network.modules()]
    assert kept == [(number, width and width // 2) for number, width in heads]
    assert inherited_share(half.network, teacher.network) == 1


def test_a_half_of_code_of_ones_own_is_trusted_with_it(monkeypatch):
    monkeypatch.setattr("nayer.models.architectures._trusted", set())
    assert not may_run("half:my.network:make")
    trust("my.network:make")
    assert may_run("half:my.network:make")
    assert is_own("half:my.network:make")
    assert not is_own("half:torchvision:resnet18")


def test_a_name_may_not_ask_for_less_than_a_fourth():
    with pytest.raises(InputError, match="'half:' stands 5000 times before 'resnet-18'; use at most 2"):
        build_network("half:" * 5000 + "resnet-18", 3, 4)
    with pytest.raises(InputError, match="'half:half:wrn-10-1' is at a quarter of its full width, the least allowed"):
        half_of(classifier("half:half:wrn-10-1"), KEY)


class Two(torch.nn.Module):
    """A network that adds up two heads of two classes, which share their weights if `tied`."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3)
        self.one, self.other = torch.nn.Linear(8, 2), torch.nn.Linear(8, 2)
        if tied:
            self.other.weight = self.one.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.stem(images).mean((2, 3))
        return self.one(features) + self.other(features)


def test_every_head_keeps_its_answers():
    network = Two(tied=False)
    narrow(network, 3, 2)
    assert [len(head.weight) for head in (network.one, network.other)] == [2, 2]
    assert network(torch.rand(5, 3, 8, 8)).shape == (5, 2)


def test_layers_that_share_weights_are_refused():
    with pytest.raises(ValueError, match="share weights"):
        narrow(Two(tied=True), 3, 2)


@pytest.mark.parametrize("name", ["vgg", "timm:nf_resnet26"])
def test_what_comes_out_of_a_fresh_half_varies_as_much(name):
    """Checked on networks without a norm, which would hide it."""
    torch.manual_seed(0)
    if name == "vgg":
        widths = [3, *[64] * 8]
        layers = [(torch.nn.Conv2d(*both, 3, bias=False, padding=1), torch.nn.ReLU()) for both in pairwise(widths)]
        whole = torch.nn.Sequential(*chain(*layers), torch.nn.Conv2d(64, 40, 1))
        for layer in whole[:-1:2]:
            torch.nn.init.kaiming_normal_(layer.weight)
    else:
        whole = build_network(name, 3, 40).eval()
    half = copy.deepcopy(whole)
    narrow(half, 3, 40)
    images = torch.randn(8, 3, 64, 64)
    with torch.no_grad():
        before, after = whole(images).std().item(), half(images).std().item()
    assert 0.6 < after / before < 1.6


def test_the_scale_of_an_attention_is_that_of_its_heads():
    half = half_of(classifier("timm:test_vit", 160), KEY)
    found = [(each.scale, each.head_dim) for each in half.network.modules() if hasattr(each, "head_dim")]
    assert found
    assert all(scale == pytest.approx(width**-0.5) for scale, width in found)
    swin = classifier("timm:swin_tiny_patch4_window7_224", 224).network
    before = [each.scale for each in swin.modules() if hasattr(each, "num_heads") and hasattr(each, "scale")]
    narrow(swin, 3, 4)
    after = [each.scale for each in swin.modules() if hasattr(each, "num_heads") and hasattr(each, "scale")]
    assert after == pytest.approx([2**0.5 * scale for scale in before])


@pytest.mark.parametrize("name", ["timm:mixer_s32_224", "timm:levit_128s"])
def test_what_has_no_half_is_refused_in_a_sentence(name):
    with pytest.raises(InputError, match=f"STUDENT: 'half': '{name}' relies on its full widths internally; name"):
        half_of(classifier(name, 224), KEY)


def test_an_odd_width_keeps_its_larger_half():
    odd = classifier('transformers:convnext{"hidden_sizes":[7,14],"depths":[1,1],"num_stages":2}')
    assert half_of(odd, KEY).architecture == 'transformers:convnext{"depths":[1,1],"hidden_sizes":[4,7],"num_stages":2}'
    narrow(odd.network, 3, 4)
    layers = [layer for layer in odd.network.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == [4, 4, 7, 7]
