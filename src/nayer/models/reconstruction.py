"""A smaller network made from a larger one by its outputs on pictures: chosen channels, fitted layers, no gradient.

The smaller network inherits the channels from which the others are best predicted. Then each of its layers, from first
to last, is fitted by least squares, so that its outputs for the inputs it now gets come closest to those of its
counterpart (He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural Networks", arXiv 1707.06168, section
3.1; they do it on training images).
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nayer.models.channels import Choice, Telling, lies_in_parts
from nayer.models.inheritance import corresponding, counterparts, inherit, selected

# Positions at which a layer's outputs are compared, of all pictures together; fewer where the outputs of all layers, or
# the inputs of one, would take gigabytes.
ROWS, MOST_SAID, MOST_GIVEN = 2**15, 2**28, 2**26
# A layer with more inputs is not fitted, one with more channels keeps evenly spaced ones: solving would take minutes.
MOST_INPUTS, MOST_CHANNELS = 8192, 4096
# Penalty on changes of the weights, as a share of the mean square of the inputs.
RIDGE = 0.01
# As many pixels as 512 pictures of 64 x 64 have; larger pictures are fewer.
PIXELS, MOST_PICTURES = 2**21, 512

Layer = nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class Answers:
    """Outputs of a layer of the larger network at some positions of the pictures."""

    asked: torch.Size
    """Shape of the layer's input, without the channels."""
    places: Tensor
    """Indices of the positions, (rows, dimensions but channels): of a convolution picture, row and column."""
    values: Tensor
    """Outputs at these positions, (rows, outputs)."""
    square: Tensor | None
    """Covariance of the input channels, (channels, channels), scaled to trace 1; None for too many channels."""


def pictures_for(size: int) -> int:
    """Number of pictures of size x size that is enough without taking gigabytes."""
    return max(1, min(MOST_PICTURES, PIXELS // size**2))


@torch.no_grad()
def reconstruct(heir: nn.Module, network: nn.Module, images: Tensor) -> None:
    """Fill `heir` in place with weights made from `network`, of the same family; both in evaluation mode.

    `images`: (N, C, H, W), as both take them. Grouped convolutions, such as depthwise ones, keep what they inherit.
    """
    layers = fitted_layers(heir, network)
    rows = min(ROWS, MOST_SAID // max(1, sum(len(theirs.weight) for _, theirs in layers)))
    heard: dict[Layer, Answers] = {}
    with ExitStack() as hooks:
        for mine, theirs in layers:
            hooks.callback(theirs.register_forward_hook(partial(_listen, heard, mine, rows)).remove)
        network(images)
    choice = Telling(squares(heard.values()), lies_in_parts(network))
    inherit(heir, network, choice)
    with ExitStack() as hooks:
        for mine, _ in layers:
            hooks.callback(mine.register_forward_pre_hook(partial(_answer_alike, heard, choice)).remove)
        heir(images)


def squares(heard: Iterable[Answers]) -> dict[int, Tensor]:
    """Number of channels -> sum of the input covariances of all layers with so many."""
    found: dict[int, Tensor] = {}
    for square in (answers.square for answers in heard if answers.square is not None):
        found[len(square)] = found.get(len(square), 0) + square
    return found


def fitted_layers(heir: nn.Module, network: nn.Module) -> list[tuple[Layer, Layer]]:
    """Pairs of layers, the heir's and its counterpart in the network, that can be fitted by least squares."""
    found, modules = counterparts(heir, network), dict(network.named_modules())
    layers: list[tuple[Layer, Layer]] = []
    for path, other, mine in corresponding(heir, network):
        theirs = modules[other.removesuffix(".")]
        if f"{path}weight" not in found or not (is_product(mine) and is_product(theirs)):
            continue
        if geometry(mine) == geometry(theirs) and mine.weight[0].numel() <= MOST_INPUTS:
            layers.append((mine, theirs))
    return layers


def is_product(layer: nn.Module) -> TypeGuard[Layer]:
    """Whether outputs are products of the weights with inputs; exact types only, as a subclass might do anything."""
    if type(layer) is nn.Conv2d:
        return layer.groups == 1 and layer.padding_mode == "zeros" and isinstance(layer.padding, tuple)
    return type(layer) is nn.Linear


def geometry(layer: Layer) -> list[Any]:
    """Settings that must be equal for two layers to see the same windows of an image."""
    return [getattr(layer, name, None) for name in ("kernel_size", "stride", "padding", "dilation")]


def _listen(
    heard: dict[Layer, Answers], mine: Layer, rows: int, theirs: Layer, given: tuple[Tensor, ...], said: Tensor
) -> None:
    """Record a layer's outputs at some positions; for a layer called twice in a pass, those of the first call."""
    if mine in heard or not given:
        return
    values, inputs = by_place(theirs, said), by_place(theirs, given[0])
    rows = min(rows, MOST_GIVEN // mine.weight[0].numel())
    chosen = torch.randperm(values.shape[:-1].numel())[:rows].to(said.device)
    places = torch.stack(torch.unravel_index(chosen, values.shape[:-1]), 1)
    square = spread(inputs.flatten(0, -2), rows) if inputs.shape[-1] <= MOST_CHANNELS else None
    heard[mine] = Answers(inputs.shape[:-1], places, values.flatten(0, -2)[chosen], square)


def spread(inputs: Tensor, rows: int) -> Tensor:
    """Covariance of inputs (positions, channels) at some of the positions: (channels, channels), scaled to trace 1."""
    rows = min(rows, MOST_GIVEN // inputs.shape[-1])
    some = inputs[torch.randperm(len(inputs))[:rows].to(inputs.device)].cpu().double()
    square = (some - some.mean(0)).T @ (some - some.mean(0))
    return square / square.trace().clamp(min=torch.finfo(square.dtype).tiny)


def _answer_alike(heard: dict[Layer, Answers], choice: Choice, layer: Layer, given: tuple[Tensor, ...]) -> None:
    """Just before a layer is called, fit its weights so that it gives its counterpart's outputs."""
    answers = heard.pop(layer, None)
    if answers is None or not given or answers.asked != by_place(layer, given[0]).shape[:-1]:
        return
    inputs = inputs_at(layer, given[0], answers.places).cpu().double()
    bias = [] if layer.bias is None else [layer.bias[:, None]]
    weight = torch.cat([layer.weight.flatten(1), *bias], 1).cpu().double()
    if bias:
        inputs = F.pad(inputs, (0, 1), value=1.0)
    wanted = selected(answers.values, torch.Size([len(inputs), len(weight)]), choice).cpu().double()
    weight += least_squares(inputs, wanted - inputs @ weight.T).T
    if layer.bias is not None:
        layer.bias.copy_(weight[:, -1])
    layer.weight.copy_(weight[:, : layer.weight[0].numel()].view_as(layer.weight))


def by_place(layer: Layer, value: Tensor) -> Tensor:
    """Inputs or outputs of a layer with the channels last."""
    return value.movedim(1, -1) if isinstance(layer, nn.Conv2d) else value


def inputs_at(layer: Layer, given: Tensor, places: Tensor) -> Tensor:
    """Inputs that a layer multiplies with its weights at `places`, (rows, inputs); of a convolution whole windows."""
    if isinstance(layer, nn.Linear):
        return given[places.unbind(1)]
    down, across = (int(each) for each in layer.padding)
    padded = F.pad(given, (across, across, down, down))
    picture, *corner = places.unbind(1)
    window = [
        first[:, None] * layer.stride[side]
        + layer.dilation[side] * torch.arange(layer.kernel_size[side], device=given.device)
        for side, first in enumerate(corner)
    ]
    windows = padded[picture[:, None, None], :, window[0][:, :, None], window[1][:, None, :]]
    return windows.movedim(-1, 1).flatten(1)


def least_squares(inputs: Tensor, wanted: Tensor) -> Tensor:
    """The x (inputs, outputs) that minimises |inputs @ x - wanted|^2 + ridge |x|^2."""
    square = inputs.T @ inputs
    square.diagonal().add_(RIDGE * square.diagonal().mean() + torch.finfo(square.dtype).tiny)
    solution: Tensor = torch.linalg.solve(square, inputs.T @ wanted)
    return solution
