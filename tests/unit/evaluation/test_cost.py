"""Costs are those worked out by hand."""

import json
import time
from typing import ClassVar

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from nayer.core.images import ImageSpec
from nayer.evaluation import cost as costs
from nayer.models.classifier import Classifier

# 3x3 convolution, 1 -> 4 channels, 8x8 images: 8 * 8 * 4 * 9; the linear layer: 4 * 3.
MACS = 8 * 8 * 4 * 9 + 4 * 3
PARAMETERS = 4 * 9 + 4 * 3 + 3


@pytest.fixture
def small() -> Classifier:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    return Classifier(network, "by-hand", ("ant", "bee", "cat"), ImageSpec(8, 1, (0.3,), (0.4,)))


def test_parameters_and_multiply_adds_of_a_known_network(small):
    small.train()
    found = costs.model_cost(small, 1234, 0.001)
    assert found["macs"] == MACS
    assert found["parameters"] == PARAMETERS
    assert found["file_bytes"] == 1234
    assert found["latency_ms_batch_1"] > 0
    assert found["latency_ms_batch_64"] > 0
    assert small.training, "a copy is measured"


def test_multiply_adds_of_attention_are_counted_where_torch_has_one_kernel_for_it():
    network = torchvision.models.VisionTransformer(8, 4, 1, 2, 16, 32, num_classes=3).eval()
    patches = 8 * 8 * 3 * 16  # each pixel of three channels is in one patch
    projections, attention, mlp = 5 * 16 * 4 * 16, 2 * 5 * 5 * 16, 2 * 5 * 16 * 32  # four patches and the class token
    found = costs.multiply_adds(network, (3, 8, 8))
    assert found == patches + projections + attention + mlp + 16 * 3
    assert torch.backends.mha.get_fastpath_enabled(), "as it was"


@pytest.mark.parametrize("parametrized", [spectral_norm, weight_norm])
def test_multiply_adds_of_parametrized_weights_are_those_of_plain_ones(parametrized):
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 3)).eval()
    plain = costs.multiply_adds(network, (1, 8, 8))
    parametrized(network[0])
    assert costs.multiply_adds(network.eval(), (1, 8, 8)) == plain == 9 * 4 * 64 + 3 * 256


def test_measuring_puts_the_number_of_threads_back(small):
    torch.set_num_threads(2)
    costs.latency(small, torch.rand(1, 1, 8, 8), 0.001)
    assert torch.get_num_threads() == 2


class Slow(nn.Module):
    """A network that takes a millisecond for each image."""

    seen: ClassVar[list[int]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(images))
        time.sleep(0.001 * len(images))
        return images.flatten(1)[:, :3]


def test_what_latencies_take_is_known_from_a_few_images():
    slow = Classifier(Slow(), "by-hand", ("ant", "bee", "cat"), ImageSpec(8, 1, (0.3,), (0.4,)))
    told = costs.latencies_seconds(slow, 1e-4)
    Slow.seen.clear()
    costs.model_cost(slow, 1234, 1e-4)
    assert 0.8 < told / (0.001 * sum(Slow.seen)) < 3
    assert costs.latencies_seconds(slow, 0.5) > 2 * 0.5


def test_the_cost_of_a_pair(small, teacher, tmp_path):
    found = costs.cost(teacher, small, 0.001, {"seconds": 3.5}, {"seconds": 7.0, "images_made": 9})
    assert found["ratio"]["parameters"] == teacher.parameter_count / PARAMETERS
    assert set(found["ratio"]) == set(found["teacher"]) - {"architecture"}
    assert found["teacher_training"] == {"seconds": 3.5}
    assert found["distillation"] == {"seconds": 7.0, "images_made": 9}
    teacher.save(tmp_path / "teacher.safetensors")
    assert found["teacher"]["file_bytes"] == (tmp_path / "teacher.safetensors").stat().st_size
    json.dumps(found, allow_nan=False)


def test_the_machine_is_named():
    found = costs.machine()
    assert found["processor"]
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert {"system", "python", "torch", "torchvision", "transformers", "accelerator"} <= set(found)
