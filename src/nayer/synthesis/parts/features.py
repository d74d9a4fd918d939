"""What layers of a network are given in a forward pass: the features that some terms look at."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier

Summary = Callable[[Tensor], Tensor]


class LayerInputs:
    """What some layers are given in a forward pass, summarised, while recording."""

    def __init__(self, layers: Sequence[nn.Module], summary: Summary) -> None:
        self.layers, self.summary = layers, summary
        self.found: dict[int, Tensor] = {}
        self._forget()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Hooks are on inside this block only."""
        hooks = [layer.register_forward_pre_hook(self._record(index)) for index, layer in enumerate(self.layers)]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            self._forget()

    def _record(self, index: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self.found[index] = self.summary(inputs[0])

        return hook

    def _forget(self) -> None:
        """No numbers in place of features: to torch.compile, an empty dictionary would be another case."""
        self.found.update((index, torch.full((), torch.nan)) for index in range(len(self.layers)))


def as_given(features: Tensor) -> Tensor:
    """The features themselves."""
    return features


def channel_means(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C): the mean of every channel of an image."""
    return features.float().mean((2, 3))


def attention_map(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W): where a layer is active (Zagoruyko and Komodakis, arXiv 1612.03928)."""
    return features.float().square().mean(1)


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
