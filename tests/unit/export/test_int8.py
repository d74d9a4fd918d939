"""INT8: weights in eight bits, ranges from the given images, the same answers; bad input gives a clear error."""

import onnx
import pytest
import torch
from transformers import ConvNextConfig, MobileNetV2Config, SwinConfig, ViTConfig

from nayer.core.errors import InputError
from nayer.core.images import ImageSpec
from nayer.export.int8 import choose, quantize
from nayer.export.onnx import OnnxFile, to_onnx
from nayer.models.classifier import Classifier
from nayer.models.configured import spelt
from nayer.synthesis.sample import SyntheticSample

NAMES = ("ant", "bee", "cat")
OF_TRANSFORMERS = (
    ConvNextConfig(depths=[1, 1], hidden_sizes=[8, 16], num_stages=2, patch_size=2, image_size=16),
    ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16, patch_size=4
    ),
    SwinConfig(embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=2, image_size=16, patch_size=2),
    MobileNetV2Config(depth_multiplier=0.2, image_size=16),
)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(256, (48, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


@pytest.fixture
def fp32(teacher) -> OnnxFile:
    return to_onnx(teacher)[0]


def constants(file: OnnxFile) -> dict[str, onnx.TensorProto]:
    return {each.name: each for each in onnx.load_from_string(file.content).graph.initializer}


def nodes(file: OnnxFile) -> list[onnx.NodeProto]:
    return list(onnx.load_from_string(file.content).graph.node)


def test_a_file_holds_weights_and_hardly_anything_else(fp32, images, teacher):
    weights = sum(4 * each.numel() for each in teacher.network.state_dict().values())
    assert weights < len(fp32.content) < weights + 12000
    assert len(quantize(fp32, images, "minmax").content) < weights / 4 + 24000


def test_weights_are_in_eight_bits_one_scale_a_channel_and_answers_stay(fp32, images):
    made = quantize(fp32, images, "minmax")
    kept = constants(made)
    kernels = [each for each in kept.values() if len(each.dims) == 4 and each.dims[0] > 1]
    assert kernels
    assert {each.data_type for each in kernels} == {onnx.TensorProto.INT8}
    scale_of = {node.input[0]: node.input[1] for node in nodes(made) if node.op_type == "DequantizeLinear"}
    assert [list(kept[scale_of[each.name]].dims) for each in kernels] == [[each.dims[0]] for each in kernels]
    assert max(abs(onnx.numpy_helper.to_array(each).astype(int)).max() for each in kernels) == 64, "no CPU overflows"
    difference = (made.predict(images) - fp32.predict(images)).abs().max()
    spread = fp32.predict(images).std()
    assert 0 < difference < spread / 4
    assert made == quantize(fp32, images, "minmax"), "the same bytes again"


@pytest.mark.parametrize("config", OF_TRANSFORMERS, ids=lambda config: config.model_type)
def test_networks_of_transformers_keep_their_answers_with_weights_in_eight_bits(config):
    torch.manual_seed(0)
    classifier = Classifier.build(spelt(config), NAMES, ImageSpec(16, 1, (0.5,), (0.5,))).eval()
    fp32 = to_onnx(classifier)[0]
    pixels = torch.randint(256, (32, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    made = quantize(fp32, pixels, "minmax")
    large = [each for each in constants(made).values() if len(each.dims) > 1 and min(each.dims[:2]) > 4]
    assert large
    assert {each.data_type for each in large} == {onnx.TensorProto.INT8}
    logits, wanted = made.predict(pixels), fp32.predict(pixels)
    assert (logits - wanted).abs().max() < wanted.abs().max() / 4


@pytest.mark.parametrize("calibration", ["entropy", "percentile"])
def test_every_calibration_gives_a_file_that_runs(fp32, images, calibration):
    assert quantize(fp32, images, calibration).predict(images[:3]).shape == (3, 3)


def test_ranges_are_those_of_the_images_that_were_given(fp32, images):
    def ranges(file: OnnxFile) -> list[float]:
        kept = constants(file)
        found = [kept[node.input[1]] for node in nodes(file) if node.op_type == "QuantizeLinear"]
        return [onnx.numpy_helper.to_array(each).item() for each in found]

    of_all, of_dark = (ranges(quantize(fp32, each, "minmax")) for each in (images, images // 8))
    # The first range is that of the normalised pixels, (0..1 - 0.3) / 0.4; that of the dark images ends at 0, which a
    # range must contain.
    assert of_all[0] == pytest.approx((1 / 0.4) / 255, rel=0.02)
    assert of_dark[0] == pytest.approx((0.3 / 0.4) / 255, rel=0.02)
    assert of_all != of_dark


def test_what_onnxruntime_cannot_quantise_is_one_sentence(images):
    with pytest.raises(InputError, match=r"^quantize.model: onnxruntime cannot quantise this network .* ship its fp32"):
        quantize(OnnxFile(b"no model"), images, "minmax")


def test_images_are_chosen_in_turns_by_class():
    labels = torch.tensor([0] * 5 + [1] * 2 + [2] * 5)
    images = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1)
    sample = SyntheticSample(images, labels)
    assert sorted(choose(sample, 6, NAMES).flatten().tolist()) == [0, 1, 5, 6, 7, 8]
    assert sorted(choose(sample, 8, NAMES).flatten().tolist()) == [0, 1, 2, 5, 6, 7, 8, 9], "one class has no more"


@pytest.mark.parametrize(
    ("labels", "count", "said"),
    [
        ([0, 1, 2], 4, r"^quantize.images: 4, but the memory's sample holds 3;"),
        ([0, 0, 2, 2], 3, r"^memory_sample: it has no image of the class 'bee'"),
        ([0, 1, 2], 2, r"^quantize.images: 2, but there are 3 classes"),
    ],
)
def test_too_few_images_or_a_class_without_any_are_refused(labels, count, said):
    sample = SyntheticSample(torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), torch.tensor(labels))
    with pytest.raises(InputError, match=said):
        choose(sample, count, NAMES)
