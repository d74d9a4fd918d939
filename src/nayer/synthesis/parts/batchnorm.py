"""The BatchNorm term: how far layer statistics on synthetic images are from those of the teacher's training data."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.synthesis.parts.features import LayerInputs, inputs_by_layer
from nayer.synthesis.parts.losses import statistics_distance

MIN_VARIANCE = 1e-12
"""Added to variances, so that a constant channel causes no division by zero."""


def keeping_statistics(network: nn.Module) -> list[nn.BatchNorm2d]:
    """The BatchNorm2d layers that have running statistics of their inputs in training."""
    found = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    return [layer for layer in found if layer.running_mean is not None and layer.running_var is not None]


def layers_with_statistics(teacher: Classifier) -> list[nn.BatchNorm2d]:
    """The BatchNorm2d layers with running statistics that the teacher uses in a forward pass."""
    layers = keeping_statistics(teacher)
    used = inputs_by_layer(teacher, layers)
    return [layer for layer in layers if layer in used]


def check_batchnorm(teacher: Classifier, weight: float, stand_in: bool = False) -> list[str]:
    """Refuse a teacher without the layers that the BatchNorm term needs.

    Returns a warning if the teacher has none, the term has weight 0 and no other term stands in for it.

    Raises:
        InputError: the teacher has no such layers, and the term has a weight above 0.
    """
    if layers_with_statistics(teacher):
        return []
    if weight:
        raise InputError(
            f"distill.synthesis.bn_weight: {weight:g}, but '{teacher.architecture}' "
            "has no BatchNorm2d with statistics to compare with; set it to 0 to go on without that term."
        )
    return [] if stand_in else ["the teacher has no BatchNorm2d; going on without that term"]


class ChannelStatistics(torch.autograd.Function):
    """Mean and biased variance (channels,) in fp32 of (N, channels, H, W).

    Torch's own BatchNorm kernels accumulate bf16 inputs in fp32 in one call. On a CPU, compiled plain sums are faster.
    The gradient is an affine map of the input per channel, which BatchNorm in evaluation mode computes
    (docs/decisions/002).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, channels, H, W) -> mean, variance."""
        compiling = torch.compiler.is_compiling()
        if compiling and not x.is_cuda:
            mean, variance = summed_statistics(x)
        elif x.is_cuda and not compiling:
            # Avoids the normalised copy, which is not needed; under compilation it is eliminated anyway.
            mean, inverse_deviation = torch.batch_norm_stats(x, MIN_VARIANCE)
            variance = inverse_deviation.pow(-2)
        else:
            ones, zeros = _ones_and_zeros(x)
            _, mean, inverse_deviation = torch.native_batch_norm(x, ones, zeros, None, None, True, 0.0, MIN_VARIANCE)
            variance = inverse_deviation.pow(-2)
        ctx.save_for_backward(x, mean)
        return mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """grad mean / n + (x - mean) * 2 * grad variance / n, for n values per channel."""
        x, mean = ctx.saved_tensors
        of_mean, of_variance = gradients
        n = x.numel() / x.shape[1]
        ones, _ = _ones_and_zeros(x)
        return F.batch_norm(x, mean, ones, of_variance * (2 / n), of_mean / n, eps=MIN_VARIANCE)


def summed_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (channels,) in one pass over (N, channels, H, W), if compiled.

    Values are taken relative to one of the same channel, so that a large mean does not swallow a small variance.
    """
    origin = x[:1, :, :1, :1].float()
    values = x.float() - origin
    mean = values.mean((0, 2, 3))
    variance = (values.square().mean((0, 2, 3)) - mean.square()).clamp(min=0.0)
    return mean + origin.flatten(), variance + MIN_VARIANCE


def _ones_and_zeros(x: Tensor) -> tuple[Tensor, Tensor]:
    """Identity weight and bias (channels,) for BatchNorm of x, in fp32 so that its statistics are fp32, too."""
    ones = torch.ones(x.shape[1], device=x.device)
    return ones, torch.zeros_like(ones)


class BatchNormStatistics(LayerInputs):
    """Statistics of the inputs of some BatchNorm2d layers, compared with the layers' running statistics.

    The compared value is `momentum` times this batch's statistics plus (1 - `momentum`) times a detached running mean,
    which advances once per synthetic batch; the very first batch has no running mean and is compared alone.
    """

    layers: Sequence[nn.BatchNorm2d]

    def __init__(self, layers: Sequence[nn.BatchNorm2d], momentum: float) -> None:
        self.momentum = momentum
        self.running: list[Tensor] = []
        self._compared: list[Tensor] = []
        super().__init__(layers, ChannelStatistics.apply)

    def _forget(self) -> None:
        nothing = ([torch.full_like(each, torch.nan) for each in part] for part in self._learnt())
        self.found.update(enumerate(zip(*nothing, strict=True)))

    def _learnt(self) -> tuple[list[Tensor], list[Tensor]]:
        """Running means and variances of all layers."""
        means = [layer.running_mean for layer in self.layers if layer.running_mean is not None]
        return means, [layer.running_var for layer in self.layers if layer.running_var is not None]

    def _mixed(self) -> list[Tensor]:
        """Means, then variances, of all layers, mixed with the running mean; needs a recorded forward pass."""
        batch = [self.found[i][part] for part in (0, 1) for i in range(len(self.layers))]
        if not self.running:
            return batch
        return [
            self.momentum * now + (1 - self.momentum) * before for now, before in zip(batch, self.running, strict=True)
        ]

    def loss(self) -> Tensor:
        """The BatchNorm term of the last forward pass; gradients flow through this batch's share only."""
        if not self.layers:
            return torch.zeros(())
        mixed, count = self._mixed(), len(self.layers)
        self._compared = [statistic.detach() for statistic in mixed]
        return statistics_distance(mixed[:count], mixed[count:], *self._learnt())

    def advance(self) -> None:
        """Make the statistics compared last the new running mean; called once per batch, after its last step."""
        self.running = [statistic.clone() for statistic in self._compared]
