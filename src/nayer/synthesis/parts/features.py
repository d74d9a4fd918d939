"""Inputs of a network's layers in a forward pass: the features that some loss terms use."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nayer.core.errors import InputError
from nayer.models.classifier import Classifier

Summary = Callable[[Tensor], Any]
Note = Callable[[Any, tuple[Tensor, ...], Tensor], None]


class LayerInputs:
    """Summaries of the inputs of some layers in the last forward pass, recorded on request."""

    def __init__(self, layers: Sequence[nn.Module], summary: Summary) -> None:
        self.layers, self.summary = layers, summary
        self.found: dict[int, Any] = {}
        self._forget()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record inside this block; hooks exist only here, so distillation and evaluation never pay for them."""
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
        """Replace all features by NaN: an empty dictionary would make torch.compile compile again."""
        self.found.update((index, torch.full((), torch.nan)) for index in range(len(self.layers)))


def inputs_by_layer(teacher: Classifier, layers: Iterable[nn.Module]) -> dict[nn.Module, torch.Size]:
    """Those of `layers` that a forward pass of the teacher uses, with the shape of their inputs.

    Some networks have layers that are used in training only, such as a second head.
    """
    found: dict[nn.Module, torch.Size] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        found[layer] = inputs[0].shape

    look(teacher, layers, note)
    return found


@torch.no_grad()
def look(classifier: Classifier, layers: Iterable[nn.Module], note: Note) -> Tensor:
    """Logits of two black images, calling `note` for each of the layers that they pass through."""
    spec, training = classifier.images, [each for each in classifier.modules() if each.training]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        classifier.eval()
        with torch.compiler.set_stance("force_eager"):  # one pass is not worth a compilation
            logits: Tensor = classifier(
                torch.zeros(2, spec.channels, spec.size, spec.size, device=classifier.mean.device)
            )
        return logits
    finally:
        for each in training:
            each.training = True
        for hook in hooks:
            hook.remove()


def as_given(features: Tensor) -> Tensor:
    """The features unchanged."""
    return features


def channel_means(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C): mean of each channel of each image."""
    return features.float().mean((2, 3))


def attention_map(features: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W): mean square over channels (Zagoruyko and Komodakis, arXiv 1612.03928)."""
    return features.float().square().mean(1)


def head_of(classifier: Classifier) -> nn.Linear | None:
    """The linear layer whose outputs are the logits or, failing that, the last one in use with one output per class."""
    classes, outputs = len(classifier.class_names), dict[nn.Linear, Tensor]()
    layers = [each for each in classifier.modules() if isinstance(each, nn.Linear) and each.out_features == classes]

    def note(layer: nn.Linear, _: tuple[Tensor, ...], output: Tensor) -> None:
        outputs[layer] = output

    logits = look(classifier, layers, note)
    heads = [layer for layer, output in outputs.items() if torch.equal(output.to(logits.dtype), logits)]
    found = heads or list(outputs)
    return found[-1] if found else None


def check_head(teacher: Classifier, weight: float) -> list[str]:
    """Refuse a teacher without a linear head if the activation term, which needs its inputs, has a weight above 0.

    Raises:
        InputError: the teacher has no linear head, and `weight` is not 0.
    """
    if weight and head_of(teacher) is None:
        raise InputError(
            f"distill.synthesis.activation_weight: {weight:g}, but '{teacher.architecture}' has no linear layer whose "
            "inputs would be its features; set it to 0 to go on without that term."
        )
    return []
