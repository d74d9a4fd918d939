"""An ONNX file gives its classifier's logits, for any number of images; anything else gives a clear error."""

import pytest
import torch
from torch import nn
from transformers import ConvNextConfig, SwinConfig, ViTConfig

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec, to_float
from nayer.export.onnx import OnnxFile, to_onnx
from nayer.models.architectures import build_network
from nayer.models.classifier import Classifier
from nayer.models.configured import spelt

SMALL = [
    SwinConfig(embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=2, image_size=16, patch_size=2),
    ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=4
    ),
    ConvNextConfig(depths=[1, 1], hidden_sizes=[8, 16], num_stages=2, patch_size=2, image_size=16),
]


def test_any_number_of_images_gives_the_logits_of_the_classifier(teacher, tmp_path):
    file, deviation = to_onnx(teacher)
    file.save(tmp_path / "models" / "teacher.onnx")
    again = OnnxFile.load(tmp_path / "models" / "teacher.onnx")
    assert again.digest == file.digest
    assert deviation < 1e-4
    for count in (1, 300):
        pixels = torch.randint(256, (count, 1, 8, 8), dtype=torch.uint8)
        with torch.inference_mode():
            torch.testing.assert_close(again.predict(pixels), teacher(to_float(pixels)), atol=1e-4, rtol=0)


def test_logits_that_are_large_may_differ_by_as_much_as_their_precision_says(teacher):
    for weight in teacher.network.head.parameters():
        weight.data *= 100_000
    file, deviation = to_onnx(teacher)
    pixels = torch.randint(256, (3, 1, 8, 8), dtype=torch.uint8)
    with torch.inference_mode():
        logits = teacher(to_float(pixels))
        assert (file.predict(pixels) - logits).abs().max() < 1e-6 * logits.abs().max()
    assert deviation > 1e-4, "more than logits of usual size may differ by"


def test_what_is_no_model_is_one_sentence():
    with pytest.raises(InputError, match=r"^the ONNX file cannot be run \(.*\); make it again\.$"):
        OnnxFile(b"nothing").session()


@pytest.mark.parametrize("config", SMALL, ids=lambda config: config.model_type)
def test_networks_of_transformers_become_files_and_stay_as_they_are(config):
    torch.manual_seed(0)
    network = build_network(spelt(config), 1, 4, "key")
    classifier = Classifier(network, spelt(config), tuple("abcd"), ImageSpec(16, 1, (0.5,), (0.5,))).eval()
    attention = network.model.config._attn_implementation
    file, _ = to_onnx(classifier)
    pixels = torch.randint(256, (3, 1, 16, 16), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(file.predict(pixels), classifier(to_float(pixels)), atol=1e-4, rtol=0)
    assert network.model.config._attn_implementation == attention


def test_a_network_of_timm_that_is_made_for_small_images_becomes_a_file():
    swin = 'timm:swin_tiny_patch4_window7_224{"depths":[1,1],"embed_dim":12,"num_heads":[1,2]}'
    file, deviation = to_onnx(Classifier.build(swin, tuple("abcd"), ImageSpec(32, 3, (0.5,) * 3, (0.5,) * 3)).eval())
    assert file.predict(torch.zeros(3, 3, 32, 32, dtype=torch.uint8)).shape == (3, 4)
    assert deviation < 1e-4


class Unwritable(nn.Module):
    """A network with an answer whose shape depends on the values of its input."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.flatten(1)[:, : 3 if pixels.sum() > 0 else 2]


class Endless(nn.Module):
    """A network whose answers are NaN."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.log(pixels.flatten(1)[:, :3] - 2)


def test_a_file_whose_answers_are_no_numbers_is_refused():
    classifier = Classifier(Endless(), "mine:net", ("a", "b", "c"), ImageSpec(8, 1, (0.5,), (0.5,)))
    with pytest.raises(InputError, match=r"^'mine:net' as ONNX gives logits off by nan, where"):
        to_onnx(classifier)


def test_what_cannot_be_written_is_one_sentence():
    classifier = Classifier(Unwritable(), "mine:net", ("a", "b", "c"), ImageSpec(8, 1, (0.5,), (0.5,)))
    with pytest.raises(InputError, match=r"^'mine:net' cannot be written as ONNX \(.*\); set promote.onnx: null and"):
        to_onnx(classifier)
