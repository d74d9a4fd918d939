"""The BatchNorm term: which statistics, which norm, which momentum, when it advances."""

import pytest
import torch
from torch import nn

from nayer.synthesis.batchnorm import BatchNormStatistics


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
    statistics = BatchNormStatistics(network, momentum=0.1)
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
    statistics = BatchNormStatistics(network, momentum=0.1)
    with statistics.recording():
        network(x)
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
    statistics = BatchNormStatistics(network, momentum=0.1)
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
    statistics = BatchNormStatistics(network, momentum=0.1)
    with statistics.recording():
        network(torch.randn(6, 1, 5, 5))
        statistics.advance()
        before = [value.clone() for value in statistics.running]
        network(torch.randn(6, 1, 5, 5))
        statistics.loss()
    assert all(torch.equal(a, b) for a, b in zip(before, statistics.running, strict=True))


def test_hooks_are_off_outside_of_recording(network):
    statistics = BatchNormStatistics(network, momentum=0.1)
    with pytest.raises(RuntimeError, match="boom"), statistics.recording():
        raise RuntimeError("boom")
    assert not any(module._forward_pre_hooks for module in network.modules())
