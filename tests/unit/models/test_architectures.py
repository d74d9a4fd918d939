"""Architectures: published sizes, any number of channels, suggestions for misspelt names."""

import pytest
import torch
from torch import nn

from nayer.core.errors import InputError
from nayer.models.architectures import build_network, check_image_size, check_logits, code_digest, own_code


def count(architecture: str, channels: int = 3, classes: int = 10) -> int:
    return sum(p.numel() for p in build_network(architecture, channels, classes).parameters())


@pytest.mark.parametrize(
    ("architecture", "millions"),
    [
        # Numbers of parameters that the papers and the literature on small images state.
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


def test_a_network_of_ones_own_is_all_of_the_package_that_it_lies_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "parts").mkdir(parents=True)
    for file in ("mine/nets.py", "mine/parts/blocks.py", "alone.py"):
        (tmp_path / file).write_text("")
    assert list(map(str, own_code("mine.nets:make"))) == ["mine/nets.py", "mine/parts/blocks.py"]
    assert list(map(str, own_code("alone:make"))) == ["alone.py"]
    assert own_code("wrn-16-1") == own_code("installed.nets:make") == []
    before = code_digest("half:mine.nets:make")
    (tmp_path / "mine/parts/blocks.py").write_text("WIDTH = 8")
    assert code_digest("half:mine.nets:make") != before


class Ending(nn.Module):
    """A linear network whose outputs go through a function."""

    def __init__(self, end, size: float = 1.0) -> None:
        super().__init__()
        self.body, self.end, self.size = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), end, size

    def forward(self, images):
        return self.end(self.size * self.body(images))


@pytest.mark.parametrize(
    ("end", "last"),
    [(nn.Softmax(1), "softmax"), (lambda x: (x / 9).softmax(1), "softmax"), (nn.Sigmoid(), "sigmoid")],
)
@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])
def test_probabilities_are_refused_as_logits(end, size, last):
    with pytest.raises(InputError, match=rf"^some\.key: .* probabilities, not logits; leave out its final {last}\.$"):
        check_logits(Ending(end, size).eval(), 1, 8, 3, "some.key")


@pytest.mark.parametrize("end", [nn.LogSoftmax(1), nn.ReLU(), lambda x: x.sigmoid() * 8, lambda x: x + 0.5])
def test_outputs_that_are_not_probabilities_are_logits_however_small(end):
    check_logits(Ending(end, 0.01).eval(), 1, 8, 3, "some.key")
