"""The teacher's features: what its last linear layer is given."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier


def head_of(network: nn.Module) -> nn.Linear | None:
    """The last linear layer, if there is one."""
    found = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return found[-1] if found else None


def check_head(teacher: Classifier, weight: float) -> list[str]:
    """Refuse a teacher whose features cannot be told, if a term on them is asked for.

    Raises:
        InputError: names the key.
    """
    if weight and head_of(teacher.network) is None:
        raise InputError(
            f"distill.synthesis.activation_weight: {weight:g}, but '{teacher.architecture}' has no linear layer whose "
            "inputs would be its features; set it to 0 to go on without that term."
        )
    return []


class HeadInputs:
    """What the head of a network is given in a forward pass, while recording."""

    def __init__(self, network: nn.Module) -> None:
        self.head = head_of(network)
        self.last = torch.full((), torch.nan)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """A hook is on inside this block only."""
        hook = self.head.register_forward_pre_hook(self._record) if self.head else None
        try:
            yield
        finally:
            if hook:
                hook.remove()
            self.last = torch.full((), torch.nan)

    def _record(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.last = inputs[0]
