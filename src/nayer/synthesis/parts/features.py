"""What layers of a network are given in a forward pass: the features that some terms look at."""

from collections.abc import Callable, Iterable, Iterator, Sequence
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


@torch.no_grad()
def inputs_by_layer(teacher: Classifier, layers: Iterable[nn.Module]) -> dict[nn.Module, torch.Size]:
    """Of these layers those that a forward pass of the teacher goes through, with the shape of what they are given.

    Some networks have layers for their training alone, such as a second head.
    """
    found: dict[nn.Module, torch.Size] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found[layer] = inputs[0].shape

    spec, training = teacher.images, [each for each in teacher.modules() if each.training]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        teacher.eval()
        with torch.compiler.set_stance("force_eager"):  # a look is not worth a compilation
            teacher(torch.zeros(2, spec.channels, spec.size, spec.size, device=teacher.mean.device))
    finally:
        for each in training:
            each.training = True
        for hook in hooks:
            hook.remove()
    return found


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
