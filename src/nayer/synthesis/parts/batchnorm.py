"""The BatchNorm term: do synthetic images excite the teacher's layers as its training data did?"""

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
"""Keeps a channel that is constant from a division by zero."""


def keeping_statistics(network: nn.Module) -> list[nn.BatchNorm2d]:
    """The layers that know what their inputs were in training."""
    found = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    return [layer for layer in found if layer.running_mean is not None and layer.running_var is not None]


def layers_with_statistics(teacher: Classifier) -> list[nn.BatchNorm2d]:
    """Of those the ones that its answers go through."""
    layers = keeping_statistics(teacher)
    used = inputs_by_layer(teacher, layers)
    return [layer for layer in layers if layer in used]


def check_batchnorm(teacher: Classifier, weight: float, stand_in: bool = False) -> list[str]:
    """Refuse a teacher without the layers that the term needs; returns a warning if nothing stands in for it.

    Raises:
        InputError: it has none, and the term is asked for.
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
    """Mean and biased variance (channels,) in fp32 of (N, channels, H, W), by torch's own BatchNorm kernels.

    They sum in fp32 over bf16 in one call, and the gradient, per channel an affine map of the input, is what BatchNorm
    in evaluation mode computes: docs/decisions/002.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, channels, H, W) -> mean, variance."""
        if x.is_cuda and not torch.compiler.is_compiling():
            # Without the normalised copy, which nobody reads; a compiler leaves it out by itself.
            mean, inverse_deviation = torch.batch_norm_stats(x, MIN_VARIANCE)
        else:
            ones, zeros = _ones_and_zeros(x)
            _, mean, inverse_deviation = torch.native_batch_norm(x, ones, zeros, None, None, True, 0.0, MIN_VARIANCE)
        ctx.save_for_backward(x, mean)
        return mean, inverse_deviation.pow(-2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """grad mean / n + (x - mean) * 2 * grad variance / n, for n values a channel."""
        x, mean = ctx.saved_tensors
        of_mean, of_variance = gradients
        n = x.numel() / x.shape[1]
        ones, _ = _ones_and_zeros(x)
        return F.batch_norm(x, mean, ones, of_variance * (2 / n), of_mean / n, eps=MIN_VARIANCE)


def _ones_and_zeros(x: Tensor) -> tuple[Tensor, Tensor]:
    """A weight and a bias of BatchNorm that leave x as it is; fp32, so that statistics are."""
    ones = torch.ones(x.shape[1], device=x.device)
    return ones, torch.zeros_like(ones)


class BatchNormStatistics(LayerInputs):
    """Statistics of the inputs of some BatchNorm2d, compared with those that they learnt.

    What is compared is `momentum` times this batch's statistics plus the rest of a detached running mean, which
    advances once per synthetic batch; the very first batch has no running mean and is compared alone.
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
        """Means and variances of all layers."""
        means = [layer.running_mean for layer in self.layers if layer.running_mean is not None]
        return means, [layer.running_var for layer in self.layers if layer.running_var is not None]

    def _mixed(self) -> list[Tensor]:
        """Means of all layers, then variances, mixed with the running mean. Needs a forward pass while recording."""
        batch = [self.found[i][part] for part in (0, 1) for i in range(len(self.layers))]
        if not self.running:
            return batch
        return [
            self.momentum * now + (1 - self.momentum) * before for now, before in zip(batch, self.running, strict=True)
        ]

    def loss(self) -> Tensor:
        """The BatchNorm term of the last forward pass; the gradient flows through this batch's share only."""
        if not self.layers:
            return torch.zeros(())
        mixed, count = self._mixed(), len(self.layers)
        self._compared = [statistic.detach() for statistic in mixed]
        return statistics_distance(mixed[:count], mixed[count:], *self._learnt())

    def advance(self) -> None:
        """Take what was compared last into the running mean: once per batch, after its last step."""
        self.running = [statistic.clone() for statistic in self._compared]
