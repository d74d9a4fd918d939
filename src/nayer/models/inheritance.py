"""Weights of a larger network of the same family for a smaller one, layer by layer and channel by channel.

The smaller network takes the first layers of each stage, and of each layer evenly spaced channels or those of another
`Choice`. Wherever the same width is cut to the same size, the same channels are taken: Xu et al., "Initializing Models
with Larger Ones", arXiv 2311.18823, section 3. No data are needed.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from nayer.models.channels import Choice, evenly


def inherit(heir: nn.Module, network: nn.Module, choice: Choice = evenly) -> None:
    """Copy the weights of `network` into their counterparts in `heir`, in place; the heir's other weights stay."""
    weights, own = network.state_dict(), heir.state_dict()
    for name, source in counterparts(heir, network).items():
        own[name].copy_(selected(weights[source], own[name].shape, choice))


def inherited_share(heir: nn.Module, network: nn.Module) -> float:
    """Share of the heir's weights that have a counterpart in `network`, 0..1; no value is read."""
    sizes = {name: each.numel() for name, each in heir.state_dict().items()}
    share: float = sum(sizes[name] for name in counterparts(heir, network)) / sum(sizes.values())
    return share


def counterparts(heir: nn.Module, network: nn.Module) -> dict[str, str]:
    """Names of the heir's tensors -> names of the tensors of `network` that they can be cut from."""
    own, theirs = heir.state_dict(), network.state_dict()
    found = {}
    for path, other, module in corresponding(heir, network):
        for name, _ in chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False)):
            mine, source = path + name, other + name
            if mine in own and source in theirs and is_part(own[mine], theirs[source], module):
                found[mine] = source
    return found


def corresponding(
    heir: nn.Module, network: nn.Module, path: str = "", other: str = ""
) -> Iterator[tuple[str, str, nn.Module]]:
    """Corresponding modules: prefix of the names in the heir, prefix in the network, and the heir's module.

    Modules correspond by name, except for blocks in a row (`nn.Sequential`): there the first blocks of each stage
    correspond, and a stage begins where a block has a stride.
    """
    yield path, other, heir
    mine, theirs = dict(heir.named_children()), dict(network.named_children())
    pairs: Iterable[tuple[str, str]] = ((name, name) for name in mine if name in theirs)
    if isinstance(heir, nn.Sequential) and isinstance(network, nn.Sequential):
        pairs = (pair for both in zip(stages(heir), stages(network), strict=False) for pair in zip(*both, strict=False))
    for name, source in pairs:
        yield from corresponding(mine[name], theirs[source], f"{path}{name}.", f"{other}{source}.")


def stages(row: nn.Sequential) -> list[list[str]]:
    """Names of the blocks in a row, by stage; a block with a stride begins a new stage."""
    found: list[list[str]] = [[]]
    for name, block in row.named_children():
        strides = any(max(each.stride) > 1 for each in block.modules() if isinstance(each, nn.Conv2d))
        if strides and found[-1]:
            found.append([])
        found[-1].append(name)
    return found


def is_part(small: Tensor, large: Tensor, module: nn.Module) -> bool:
    """Whether `small` can be cut from `large` by channels: as many dimensions, none larger, kernels of the same size.

    A table such as (1, tokens, channels), of a module that is no convolution, may also be smaller in its last
    dimension alone.
    """
    table = small.ndim > 2 and not isinstance(module, _ConvNd)
    alike = small.shape[2:] == large.shape[2:] or (table and small.shape[:-1] == large.shape[:-1])
    if small.ndim != large.ndim or small.dtype != large.dtype or not alike:
        return False
    return all(less <= more for less, more in zip(small.shape, large.shape, strict=True))


def selected(value: Tensor, shape: torch.Size, choice: Choice) -> Tensor:
    """The chosen entries along every dimension that is longer than wanted."""
    for dimension, (length, wanted) in enumerate(zip(value.shape, shape, strict=True)):
        if length != wanted:
            value = value.index_select(dimension, choice(length, wanted).to(value.device))
    return value
