"""Networks and weights of torchvision and timm; fetched files are in the libraries' own caches."""

import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from nayer.core.errors import InputError
from nayer.models.architectures import build_network, check_logits
from nayer.teachers.published import describe_published, read_published

KEY = "teacher.weights"


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def cache(tmp_path, monkeypatch, offline):
    """Torch's cache, with weights under the file name that torchvision fetches; returns their network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    network = torchvision.models.resnet18()
    torch.save(network.state_dict(), folder / torchvision.models.ResNet18_Weights.DEFAULT.url.rpartition("/")[2])
    return network.eval()


@pytest.mark.parametrize(
    ("architecture", "channels"), [("torchvision:resnet18", 3), ("timm:resnet18", 3), ("timm:resnet18", 1)]
)
def test_networks_of_the_libraries_give_one_logit_per_class(architecture, channels):
    check_logits(build_network(architecture, channels, 7).eval(), channels, 64, 7, "teacher.architecture")


@pytest.mark.parametrize("size", [28, 64])
@pytest.mark.parametrize(
    "architecture",
    [
        "timm:mobilenetv3_small_050",
        'timm:vit_tiny_patch16_224{"depth":2,"patch_size":4}',
        'timm:swin_tiny_patch4_window7_224{"depths":[2,2],"embed_dim":24,"num_heads":[1,2]}',
        'transformers:convnext{"depths":[1,1],"hidden_sizes":[8,16],"num_stages":2,"patch_size":2}',
        'transformers:mobilenet_v2{"depth_multiplier":0.35}',
        'transformers:resnet{"depths":[1,1],"embedding_size":8,"hidden_sizes":[8,16],"layer_type":"basic"}',
    ],
)
def test_networks_of_the_libraries_can_learn_from_small_images(architecture, size):
    """As students do: with BatchNorm or without, in training mode, from one channel or three."""
    torch.manual_seed(0)
    channels = 1 if size == 28 else 3
    network = build_network(architecture, channels, 5, "distill.student.architecture", size).train()
    loss = torch.nn.functional.cross_entropy(network(torch.rand(6, channels, size, size)), torch.arange(6) % 5)
    loss.backward()
    gradients = [weight.grad for weight in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert sum(gradient.abs().sum() > 0 for gradient in gradients) > 0.9 * len(gradients)
    check_logits(network.eval(), channels, size, 5, "distill.student.architecture")


@pytest.mark.parametrize(
    ("architecture", "channels", "words"),
    [
        ("torchvision:resnet19", 3, "Did you mean 'torchvision:resnet18'"),
        ("torchvision:fasterrcnn_resnet50_fpn", 3, "unknown value"),
        ("torchvision:googlenet", 3, "unknown value"),
        ("torchvision:densenet121", 3, "unknown value"),
        ("torchvision:resnet18", 1, "takes images of 3 channels"),
        ("timm:resnet188", 3, "Did you mean 'timm:resnet18"),
        ("timm:hf-hub:somebody/model", 3, "unknown value"),
    ],
)
def test_what_they_do_not_have_is_named(architecture, channels, words):
    with pytest.raises(InputError, match=f"teacher.architecture: .*{words}"):
        build_network(architecture, channels, 7, "teacher.architecture")


class TwoHeads(torch.nn.Module):
    def forward(self, x):
        return x.mean((2, 3)), x.mean()


def test_a_network_that_gives_something_else_than_logits_is_refused():
    with pytest.raises(InputError, match="gives a tuple for 2 images"):
        check_logits(TwoHeads(), 3, 64, 7, "distill.student.architecture")
    with pytest.raises(InputError, match="fails on images of 3x4x4"):
        check_logits(build_network("timm:vgg11_bn", 3, 7).eval(), 3, 4, 7, "distill.student.architecture")


def test_torchvision_weights_come_from_its_cache_with_their_description(cache):
    found = read_published("torchvision", "ResNet18_Weights.IMAGENET1K_V1", KEY)
    assert all(torch.equal(found[name], value) for name, value in cache.state_dict().items())
    about = describe_published("torchvision", "resnet18", "TEACHER")
    assert (about.architecture, about.weights) == ("torchvision:resnet18", "ResNet18_Weights.IMAGENET1K_V1")
    assert (about.image_size, about.mean) == (224, (0.485, 0.456, 0.406))
    assert about.class_names[:2] == ("tench", "goldfish")
    assert describe_published("torchvision", about.weights, "TEACHER") == about


def test_weights_that_cannot_be_fetched_say_so(tmp_path, monkeypatch, offline):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(InputError, match="'ResNet18_Weights.IMAGENET1K_V1' could not be fetched .*torchvision:NAME"):
        read_published("torchvision", "ResNet18_Weights.IMAGENET1K_V1", KEY)
    with pytest.raises(InputError, match="'resnet18.a1_in1k' could not be fetched .*timm:NAME"):
        read_published("timm", "resnet18.a1_in1k", KEY)


@pytest.mark.parametrize(
    ("library", "name", "words"),
    [
        ("torchvision", "ResNet18_Weights.IMAGENET1K_V9", "Did you mean 'ResNet18_Weights.IMAGENET1K_V1'"),
        ("torchvision", "FCN_ResNet50_Weights.DEFAULT", "not the weights of an image classifier"),
        ("timm", "resnet18.a9_in1k", "Choose one of: .*timm:resnet18.a1_in1k"),
        ("timm", "test_byobnet.nothing", "unknown value"),
    ],
)
def test_an_unknown_name_of_weights_is_named(library, name, words):
    with pytest.raises(InputError, match=f"TEACHER: .*{words}"):
        describe_published(library, name, "TEACHER")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with one commit for every model of timm: its folder, and the models and revisions asked for."""
    folder, asked = tmp_path / COMMIT, []
    folder.mkdir()

    def snapshot(model: str, _: Sequence[str], revision: str | None) -> Path:
        asked.append((model, revision))
        return folder

    monkeypatch.setattr("nayer.teachers.published.snapshot", snapshot)
    return folder, asked


def test_timm_tells_its_normalisation_and_takes_the_names_of_imagenet(hub):
    about = describe_published("timm", "resnet18.a1_in1k", "TEACHER")
    assert (about.architecture, about.image_size) == ("timm:resnet18", 224)
    assert about.mean == timm.get_pretrained_cfg("resnet18.a1_in1k").mean
    assert len(about.class_names) == 1000


def test_a_network_of_timm_whose_images_are_not_square_is_refused(hub, monkeypatch):
    upright = replace(timm.get_pretrained_cfg("resnet18.a1_in1k"), input_size=(3, 1024, 768))
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda _: upright)
    with pytest.raises(InputError, match=r"^TEACHER: 'resnet18.a1_in1k' takes images of 1024x768, but only square"):
        describe_published("timm", "resnet18.a1_in1k", "TEACHER")


@pytest.mark.parametrize(
    ("library", "name", "crop"),
    [
        ("torchvision", "resnet18", 224 / 256),
        ("torchvision", "efficientnet_v2_s", 1),
        ("timm", "resnet18.a1_in1k", 0.95),
        ("timm", "volo_d4_448.sail_in1k", 1),  # its file says 1.15
    ],
)
def test_a_preset_that_cuts_pictures_says_how_much_of_them_is_shown(library, name, crop, hub):
    assert describe_published(library, name, "TEACHER").crop == crop


def test_timm_weights_are_those_of_the_hubs_snapshot_and_keep_their_commit(hub, offline):
    folder, asked = hub
    network = timm.create_model("resnet18", num_classes=1000)
    save_file(network.state_dict(), folder / "model.safetensors")
    about = describe_published("timm", "resnet18.a1_in1k", "TEACHER")
    assert about.weights == f"resnet18.a1_in1k@{COMMIT}"
    found = read_published("timm", about.weights, KEY)
    assert torch.equal(found["conv1.weight"], network.conv1.weight)
    assert asked == [("timm/resnet18.a1_in1k", None), ("timm/resnet18.a1_in1k", COMMIT)]
    assert describe_published("timm", about.weights, "TEACHER") == about


def test_timm_weights_that_cannot_be_fetched_are_told_when_they_are_described(tmp_path, monkeypatch, offline):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(InputError, match="TEACHER: 'resnet18.a1_in1k' could not be fetched .*timm:NAME"):
        describe_published("timm", "resnet18.a1_in1k", "TEACHER")
