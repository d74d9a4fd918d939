"""A smaller network made of a larger one by what that does with pictures: chosen channels, fitted layers, no gradient.

It inherits the channels that tell most of the others. Each of its layers, from first to last, then gets the weights
with which it answers most like its counterpart to what now comes to it (He, Zhang and Sun, "Channel Pruning for
Accelerating Very Deep Neural Networks", arXiv 1707.06168, section 3.1; they do it on training images).
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

# Places at which a layer is compared, of all pictures together; fewer where what is said there by all layers, or what
# one of them is given, would take gigabytes.
ROWS, MOST_SAID, MOST_GIVEN = 2**15, 2**28, 2**26
# A layer of more inputs keeps what it has, and of more channels evenly spaced ones: the equations would take minutes.
MOST_INPUTS, MOST_CHANNELS = 8192, 4096
# By how much of the mean square of the inputs weights are held where they are.
RIDGE = 0.01
# Of 512 pictures of 64 x 64, and of fewer larger ones.
PIXELS, MOST_PICTURES = 2**21, 512

Layer = nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class Answers:
    """What a layer of the larger network says at some places of the pictures."""

    asked: torch.Size
    """Shape of what came to it, without the channels."""
    places: Tensor
    """(rows, 3): picture, down and across, or (rows, 1)."""
    values: Tensor
    """(rows, outputs)."""
    square: Tensor | None
    """inputs.T @ inputs of what came to it, (channels, channels), of one size for all layers; None of too many."""


def pictures_for(size: int) -> int:
    """How many pictures of size x size are enough and do not take gigabytes."""
    return max(1, min(MOST_PICTURES, PIXELS // size**2))


@torch.no_grad()
def reconstruct(heir: nn.Module, network: nn.Module, images: Tensor) -> None:
    """Make `heir` of `network`, of whose family it is, in place; both in evaluation mode.

    `images`: (N, C, H, W), as both take them. Convolutions of groups, such as depthwise ones, keep what they inherit.
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
    """By how many channels came to a layer, the sum over the layers."""
    found: dict[int, Tensor] = {}
    for square in (answers.square for answers in heard if answers.square is not None):
        found[len(square)] = found.get(len(square), 0) + square
    return found


def fitted_layers(heir: nn.Module, network: nn.Module) -> list[tuple[Layer, Layer]]:
    """Layers that are a product with their weights, and those of the network that they come from."""
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
    """Whether each answer is a product of the weights with what is there; a subclass might do anything."""
    if type(layer) is nn.Conv2d:
        return layer.groups == 1 and layer.padding_mode == "zeros" and isinstance(layer.padding, tuple)
    return type(layer) is nn.Linear


def geometry(layer: Layer) -> list[Any]:
    """By what two layers of different channels go alike over an image."""
    return [getattr(layer, name, None) for name in ("kernel_size", "stride", "padding", "dilation")]


def _listen(
    heard: dict[Layer, Answers], mine: Layer, rows: int, theirs: Layer, given: tuple[Tensor, ...], said: Tensor
) -> None:
    """Keep what a layer said at some places; of one that is asked twice in a pass, what it said first."""
    if mine in heard or not given:
        return
    values, inputs = by_place(theirs, said), by_place(theirs, given[0])
    rows = min(rows, MOST_GIVEN // mine.weight[0].numel())
    chosen = torch.randperm(values.shape[:-1].numel())[:rows].to(said.device)
    places = torch.stack(torch.unravel_index(chosen, values.shape[:-1]), 1)
    square = spread(inputs.flatten(0, -2), rows) if inputs.shape[-1] <= MOST_CHANNELS else None
    heard[mine] = Answers(inputs.shape[:-1], places, values.flatten(0, -2)[chosen], square)


def spread(inputs: Tensor, rows: int) -> Tensor:
    """How channels (places, channels) vary together at some places: (channels, channels) of trace 1."""
    rows = min(rows, MOST_GIVEN // inputs.shape[-1])
    some = inputs[torch.randperm(len(inputs))[:rows].to(inputs.device)].cpu().double()
    square = (some - some.mean(0)).T @ (some - some.mean(0))
    return square / square.trace().clamp(min=torch.finfo(square.dtype).tiny)


def _answer_alike(heard: dict[Layer, Answers], choice: Choice, layer: Layer, given: tuple[Tensor, ...]) -> None:
    """Before a layer is asked, the weights with which it says what its counterpart did."""
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
    """Of what comes to a layer or from it, the channels last."""
    return value.movedim(1, -1) if isinstance(layer, nn.Conv2d) else value


def inputs_at(layer: Layer, given: Tensor, places: Tensor) -> Tensor:
    """What a layer multiplies with its weights at `places`, of a convolution whole windows: (rows, inputs)."""
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
    """The x (inputs, outputs) with the least |inputs @ x - wanted|^2 + ridge |x|^2."""
    square = inputs.T @ inputs
    square.diagonal().add_(RIDGE * square.diagonal().mean() + torch.finfo(square.dtype).tiny)
    solution: Tensor = torch.linalg.solve(square, inputs.T @ wanted)
    return solution
