"""Which channels of a larger network a smaller one takes."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Choice = Callable[[int, int], Tensor]
"""How many channels there are, and how many are wanted -> their places, from first to last."""
# Queries, keys and values in one table.
PACKED = 3
# Of the strongest channel: what is left of one that follows from those that are chosen is rounding.
NOTHING = 1e-12


def evenly(length: int, wanted: int) -> Tensor:
    """Spaced alike, with the first and the last."""
    return torch.linspace(0, length - 1, wanted, dtype=torch.float64).round().long()


@dataclass(frozen=True)
class Telling:
    """Those that tell most of the others, by what the layers of a network were given."""

    squares: dict[int, Tensor]
    """By how many channels there are: (channels, channels), inputs.T @ inputs of all layers with so many."""
    in_parts: bool
    """One of each of `wanted` neighbours, so that every head or group keeps as many as the others."""
    chosen: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def __call__(self, length: int, wanted: int) -> Tensor:
        """As `Choice`; evenly spaced where no layer was given so many.

        Of queries, keys and values in one table the same are chosen, as they meet each other.
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
    """Places of channels, at most one of each part, from which the others follow best by a linear map.

    Chosen one by one: the next is that which explains most of what is left of all (Farahat, Ghodsi and Kamel, "An
    efficient greedy method for unsupervised feature selection", ICDM 2011, section IV).
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
    """Whether some layer treats its channels in parts of one size: heads of an attention, groups."""
    for module in network.modules():
        name = type(module).__name__.lower()
        if "attention" in name or "attn" in name or getattr(module, "num_groups", 1) > 1:
            return True
        if isinstance(module, nn.Conv2d) and module.groups not in (1, module.in_channels):
            return True
    return False
