"""Communication between the processes of one distillation; with a single process, no function communicates.

It uses plain torch.distributed collectives after the backward pass: a generator step passes through teacher and student
several times without needing their gradients, which DistributedDataParallel does not support.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def rank() -> int:
    """Rank of this process; 0 is the first one, which alone reports and writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor, in place, by its mean over the processes; all of them go in one message."""
    if size() == 1 or not (found := list(tensors)):
        return
    flat = torch.cat([tensor.flatten() for tensor in found])
    dist.all_reduce(flat)
    flat /= size()
    for tensor, part in zip(found, flat.split([tensor.numel() for tensor in found]), strict=True):
        tensor.copy_(part.view_as(tensor))


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average the gradients after a backward pass, so that every process takes the same step."""
    average(parameter.grad for parameter in parameters if parameter.grad is not None)


def broadcast_module(module: nn.Module) -> None:
    """Overwrite a module's weights and buffers with those of the first process."""
    if size() > 1:
        for tensor in (*module.parameters(), *module.buffers()):
            dist.broadcast(tensor.detach(), 0)


def seed_each_process() -> None:
    """Give every process random numbers of its own, all of them determined by the seed set before."""
    if size() > 1:
        torch.manual_seed(int(torch.randint(2**62, (size(),))[rank()]))


def any_process(*flags: bool) -> tuple[bool, ...]:
    """For each flag, whether it is set in any process; all processes must call this at the same point of their work."""
    if size() == 1:
        return flags
    raised = torch.tensor(flags, dtype=torch.uint8)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return tuple(bool(flag) for flag in raised)


def all_gather(value: Any) -> list[Any]:
    """Values of all processes by rank, returned in each of them; only for small values."""
    values: list[Any] = [value] * size()
    if size() > 1:
        dist.all_gather_object(values, value)
    return values


def gather(value: Any) -> list[Any]:
    """Values of all processes by rank, returned in the first one; an empty list in the others."""
    if size() == 1:
        return [value]
    values: list[Any] = [None] * size() if rank() == 0 else []
    dist.gather_object(on_cpu(value), values or None, 0)
    return values


def on_cpu(value: Any) -> Any:
    """Nested containers with every tensor on the CPU: a tensor sent from a GPU would be rebuilt on that same GPU."""
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {name: on_cpu(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(on_cpu(each) for each in value)
    return value


def scatter(values: list[Any]) -> Any:
    """This process's value from the list that the first process holds, with one value per process."""
    if size() == 1:
        return values[0]
    mine: list[Any] = [None]
    dist.scatter_object_list(mine, values or [None] * size(), 0)
    return mine[0]
