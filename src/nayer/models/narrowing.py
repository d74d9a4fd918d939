"""Halve the channels of a network, layer by layer."""

from collections.abc import Callable, Iterable
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

# Layers whose input and output channels may differ, and layers with only one number of channels.
PRODUCTS = (nn.Conv2d, nn.Linear)
NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)
# Attributes in which other modules keep the widths by which they split their outputs.
TOLD = {"head_dim", "attn_dim", "hidden_dim", "embed_dim", "kdim", "vdim"}


@torch.no_grad()
def narrow(network: nn.Module, channels: int, classes: int) -> None:
    """Halve the channels of all layers in place, except those of the images and of the logits.

    Odd numbers are rounded up. Convolutions keep their number of groups, each narrower; depthwise ones halve it. The
    weights become a corner of the old ones, rescaled. If the network relies on its widths in other places too, its next
    forward pass fails.

    Raises:
        ValueError: no layer has one output for each class, or layers share weights.
    """
    if len([*network.parameters()]) < len([*network.named_parameters(remove_duplicate=False)]):
        raise ValueError("some of its layers share weights")
    products = [module for module in network.modules() if isinstance(module, PRODUCTS)]
    sizes = [layer.weight.shape for layer in products if len(layer.weight) == classes]
    if not sizes:
        raise ValueError("none of its layers gives an answer for each class")
    # Some networks have two heads of the same shape and add up their outputs.
    heads = {layer for layer in products if layer.weight.shape == sizes[-1]}
    widths = {len(layer.weight) for layer in products if layer not in heads}
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            narrow_convolution(module, module.in_channels == channels, module in heads)
        elif isinstance(module, nn.Linear):
            narrow_linear(module, module in heads)
        elif isinstance(module, NORMS):
            narrow_norm(module)
        else:
            narrow_rest(module, widths)


def half(width: int) -> int:
    """Half of a number of channels, rounded up."""
    return (width + 1) // 2


def narrow_convolution(layer: nn.Conv2d, first: bool, last: bool) -> None:
    """Halve both sides; a layer on images keeps its inputs, a head its outputs; a depthwise one halves its groups."""
    alone = layer.groups == layer.in_channels > 1
    outputs, inputs, *kernel = layer.weight.shape
    outputs, inputs = outputs if last else half(outputs), inputs if first or alone else half(inputs)
    scale_by_inputs(layer, inputs)
    cut(layer, lambda name, _: (outputs, inputs, *kernel) if name == "weight" else (outputs,))
    layer.groups = half(layer.groups) if alone else layer.groups
    layer.in_channels, layer.out_channels = inputs * layer.groups, outputs


def narrow_linear(layer: nn.Linear, last: bool) -> None:
    """Halve inputs and outputs; a head keeps its outputs."""
    outputs, inputs = layer.out_features if last else half(layer.out_features), half(layer.in_features)
    scale_by_inputs(layer, inputs)
    cut(layer, lambda name, _: (outputs, inputs) if name == "weight" else (outputs,))
    layer.out_features, layer.in_features = outputs, inputs


def narrow_norm(layer: _NormBase | nn.GroupNorm | nn.LayerNorm) -> None:
    """Halve all parameters and buffers of a normalisation layer."""
    cut(layer, lambda _, value: map(half, value.shape))
    if isinstance(layer, nn.LayerNorm):
        layer.normalized_shape = tuple(map(half, layer.normalized_shape))
    elif isinstance(layer, nn.GroupNorm):
        layer.num_channels = half(layer.num_channels)
    else:
        layer.num_features = half(layer.num_features)


def narrow_rest(module: nn.Module, widths: set[int]) -> None:
    """Halve the channel dimensions of other modules' own tensors, such as tokens, and widths in their attributes."""
    packed = isinstance(module, nn.MultiheadAttention)
    cut(module, lambda _, value: (half(side) if packed or side in widths else side for side in value.shape))
    told = {name: value for name, value in vars(module).items() if name in TOLD and isinstance(value, int)}
    for name, width in told.items():
        setattr(module, name, half(width))
    if "num_heads" in vars(module):
        rescale(module, 2**0.5)  # it is one over the root of a head's width


def scale_by_inputs(layer: nn.Conv2d | nn.Linear, inputs: int) -> None:
    """Scale weights so that sums of fewer inputs vary as much; timm's standardised layers have a factor for that."""
    scale = (layer.weight.shape[1] / inputs) ** 0.5
    layer.weight.mul_(scale)
    rescale(layer, scale)


def rescale(module: nn.Module, factor: float) -> None:
    """Multiply the module's own factor `scale`, if it has one."""
    if isinstance(scale := vars(module).get("scale"), float):
        vars(module)["scale"] = scale * factor


def cut(module: nn.Module, shape_of: Callable[[str, Tensor], Iterable[int]]) -> None:
    """Cut the module's own parameters and buffers down to the leading corner of shape `shape_of(name, value)`."""
    for name, value in [*chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))]:
        corner = value[tuple(map(slice, shape_of(name, value)))].clone()
        setattr(module, name, nn.Parameter(corner) if isinstance(value, nn.Parameter) else corner)
