"""Choice of the channels that a smaller network takes over from a larger one."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Choice = Callable[[int, int], Tensor]
"""(number of channels, number wanted) -> indices of the chosen channels, in ascending order."""
# Queries, keys and values, stacked in one weight matrix.
PACKED = 3
# Relative to the strongest channel: what remains below this, once the chosen channels are accounted for, is rounding.
NOTHING = 1e-12


def evenly(length: int, wanted: int) -> Tensor:
    """Indices of `wanted` evenly spaced channels, from the first to the last."""
    return torch.linspace(0, length - 1, wanted, dtype=torch.float64).round().long()


@dataclass(frozen=True)
class Telling:
    """Choice of the channels from which the others are best predicted, judged by the inputs of a network's layers."""

    squares: dict[int, Tensor]
    """Number of channels -> sum of the input covariances of all layers with so many, (channels, channels)."""
    in_parts: bool
    """Choose one channel from each of `wanted` runs of neighbours, so that heads or groups stay equally wide."""
    chosen: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def __call__(self, length: int, wanted: int) -> Tensor:
        """Indices as of a `Choice`; evenly spaced where no layer has so many input channels.

        In stacked queries, keys and values the same channels are chosen in each, as they are multiplied together.
        """
        width, left = divmod(length, PACKED)
        if length not in self.squares and width in self.squares and left == wanted % PACKED == 0:
            one = self(width, wanted // PACKED)
            return torch.cat([one + part * width for part in range(PACKED)])
        if length not in self.squares:
            return evenly(length, wanted)
        if (length, wanted) not in self.chosen:
            parts = torch.arange(length) * wanted // length if self.in_parts else torch.arange(length)
            self.chosen[length, wanted] = telling(self.squares[length], wanted, parts)
        return self.chosen[length, wanted]


def telling(square: Tensor, wanted: int, parts: Tensor) -> Tensor:
    """Indices of the channels, at most one per part, from which a linear map best predicts the others.

    `square` is the (channels, channels) covariance. Greedy: the next channel is the one that explains most of what the
    chosen ones leave unexplained (Farahat, Ghodsi and Kamel, "An efficient greedy method for unsupervised feature
    selection", ICDM 2011, section IV).
    """
    left, chosen = square.clone(), torch.zeros(len(square), dtype=torch.bool)
    least = max(NOTHING * float(square.diagonal().max()), torch.finfo(square.dtype).tiny)
    for _ in range(wanted):
        own = left.diagonal().clamp(min=least)
        explained = torch.linalg.vector_norm(left, dim=1).square() / own
        explained[torch.isin(parts, parts[chosen])] = -1
        best = int(explained.argmax())
        chosen[best] = True
        row = left[best].clone()
        left.addr_(row, row, alpha=-1 / float(own[best]))
    return chosen.nonzero().flatten()


def lies_in_parts(network: nn.Module) -> bool:
    """Whether some layer divides its channels into parts of equal size, such as attention heads or groups."""
    for module in network.modules():
        name = type(module).__name__.lower()
        if "attention" in name or "attn" in name or getattr(module, "num_groups", 1) > 1:
            return True
        if isinstance(module, nn.Conv2d) and module.groups not in (1, module.in_channels):
            return True
    return False
