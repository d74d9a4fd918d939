"""The BatchNorm term: which statistics, which norm, which momentum, when it advances."""

import pytest
import torch
from torch import nn

from nayer.core.images import ImageSpec
from nayer.models.classifier import Classifier
from nayer.synthesis.parts.batchnorm import (
    BatchNormStatistics,
    ChannelStatistics,
    keeping_statistics,
    layers_with_statistics,
    summed_statistics,
)


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.BatchNorm2d(2))
    for layer in (network[1], network[3]):
        layer.running_mean.uniform_(-1, 1)
        layer.running_var.uniform_(0.5, 2)
    return network.eval()


def inputs_of(network: nn.Sequential, x: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    first = network[0](x)
    second = network[2](network[1](first))
    return [(a.mean((0, 2, 3)), a.var((0, 2, 3), unbiased=False)) for a in (first, second)]


def test_first_batch_is_compared_alone_by_unsquared_norms_of_layer_inputs(network):
    x = torch.randn(6, 1, 5, 5)
    statistics = BatchNormStatistics(keeping_statistics(network), momentum=0.1)
    with statistics.recording():
        network(x)
        found = statistics.loss()
    layers = (network[1], network[3])
    expected = sum(
        (mean - layer.running_mean).norm() + (variance - layer.running_var).norm()
        for (mean, variance), layer in zip(inputs_of(network, x), layers, strict=True)
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_later_batches_are_mixed_with_the_running_mean_by_the_momentum(network):
    x, y = torch.randn(6, 1, 5, 5), torch.randn(6, 1, 5, 5)
    statistics = BatchNormStatistics(keeping_statistics(network), momentum=0.1)
    with statistics.recording():
        network(x)
        statistics.loss()
        network(y)  # another pass, of which no loss is taken
        statistics.advance()
        network(y)
        found = statistics.loss()
    expected = torch.zeros(())
    for layer, before, now in zip((network[1], network[3]), inputs_of(network, x), inputs_of(network, y), strict=True):
        mean, variance = (0.1 * b + 0.9 * a for a, b in zip(before, now, strict=True))
        expected += (mean - layer.running_mean).norm() + (variance - layer.running_var).norm()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_running_mean_is_detached_so_the_gradient_is_a_share_of_the_plain_one(network):
    x = torch.randn(6, 1, 5, 5)
    statistics = BatchNormStatistics(keeping_statistics(network), momentum=0.1)
    gradients = []
    with statistics.recording():
        for _ in range(2):
            image = x.clone().requires_grad_()
            network(image)
            statistics.loss().backward()
            gradients.append(image.grad)
            statistics.advance()
    # The same batch twice: the mixed statistics equal the plain ones, their gradient is a tenth.
    assert torch.allclose(gradients[1], 0.1 * gradients[0], rtol=1e-3, atol=1e-8)


def test_running_mean_moves_only_when_told(network):
    statistics = BatchNormStatistics(keeping_statistics(network), momentum=0.1)
    with statistics.recording():
        network(torch.randn(6, 1, 5, 5))
        statistics.loss()
        statistics.advance()
        before = [value.clone() for value in statistics.running]
        network(torch.randn(6, 1, 5, 5))
        statistics.loss()
    assert all(torch.equal(a, b) for a, b in zip(before, statistics.running, strict=True))


def test_without_a_forward_pass_of_its_own_a_batch_has_no_loss(network):
    statistics = BatchNormStatistics(keeping_statistics(network), momentum=0.1)
    with statistics.recording():
        network(torch.randn(6, 1, 5, 5))
        assert statistics.loss().isfinite()
    with statistics.recording():
        assert statistics.loss().isnan()


def test_hooks_are_off_outside_of_recording(network):
    statistics = BatchNormStatistics(keeping_statistics(network), momentum=0.1)
    with pytest.raises(RuntimeError, match="boom"), statistics.recording():
        raise RuntimeError("boom")
    assert not any(module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("dtype", "near", "near_gradient"), [(torch.float32, 1e-5, 1e-5), (torch.bfloat16, 1e-4, 1e-2)]
)
def test_channel_statistics_and_their_gradient_are_those_of_plain_sums(layout, dtype, near, near_gradient):
    torch.manual_seed(0)
    x = (torch.randn(8, 5, 9, 9) * torch.rand(5, 1, 1) + 3).to(dtype).contiguous(memory_format=layout).requires_grad_()
    of_mean, of_variance = torch.randn(5), torch.randn(5)
    mean, variance = ChannelStatistics.apply(x)
    (mean @ of_mean + variance @ of_variance).backward()
    plain = x.detach().double().requires_grad_()
    wanted_variance, wanted_mean = torch.var_mean(plain, (0, 2, 3), correction=0)
    (wanted_mean @ of_mean.double() + wanted_variance @ of_variance.double()).backward()
    assert mean.dtype == variance.dtype == torch.float32
    torch.testing.assert_close(mean.double(), wanted_mean, rtol=near, atol=0)
    torch.testing.assert_close(variance.double(), wanted_variance, rtol=near, atol=0)
    assert (x.grad.double() - plain.grad).abs().max() < near_gradient * plain.grad.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_statistics_of_compiled_networks_are_exact_even_where_the_mean_is_large(dtype):
    torch.manual_seed(0)
    x = (torch.randn(8, 5, 9, 9) + torch.tensor([0.0, 1, -10, 100, 1000]).view(-1, 1, 1)).to(dtype)
    wanted_variance, wanted_mean = torch.var_mean(x.double(), (0, 2, 3), correction=0)
    mean, variance = summed_statistics(x)
    torch.testing.assert_close(mean.double(), wanted_mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(variance.double(), wanted_variance, rtol=1e-5, atol=0)


@pytest.mark.parametrize("statistics", [ChannelStatistics.apply, summed_statistics])
def test_a_channel_that_is_constant_has_no_variance(statistics):
    _, variance = statistics(torch.full((4, 2, 3, 3), 1.5))
    assert variance.tolist() == pytest.approx([0, 0], abs=1e-9)


class WithSecondHead(nn.Module):
    """A network with a layer that is used only in training."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm, self.second = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(x)
        return (self.second(x) if self.training else self.norm(x)).mean((2, 3))


def test_a_layer_that_no_answer_goes_through_is_left_out_and_the_teacher_stays_as_it_was():
    teacher = Classifier(WithSecondHead(), "own", ("a", "b", "c", "d"), ImageSpec(8, 1, (0.5,), (0.5,))).train()
    teacher.network.norm.eval()
    assert layers_with_statistics(teacher) == [teacher.network.norm]
    assert teacher.network.second.training
    assert not teacher.network.norm.training
    assert not any(module._forward_pre_hooks for module in teacher.modules())


def test_a_layer_that_keeps_no_statistics_is_left_out(network):
    network.append(nn.BatchNorm2d(2, track_running_stats=False))
    statistics = BatchNormStatistics(keeping_statistics(network), momentum=0.1)
    with statistics.recording():
        network(torch.randn(6, 1, 5, 5))
        assert torch.isfinite(statistics.loss())
    assert len(statistics.layers) == 2
