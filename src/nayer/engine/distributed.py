"""What the processes of one distillation say to each other; every function does nothing for a single process.

Plain collectives of torch.distributed after the backward pass: the generator's step goes through teacher and student
several times without wanting their gradients, which DistributedDataParallel does not allow for.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def rank() -> int:
    """Of this process; 0 leads: it alone reports and writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def average(tensors: Iterable[Tensor]) -> None:
    """Put in place of each tensor its mean over the processes; one message for all, none where there are none."""
    if size() == 1 or not (found := list(tensors)):
        return
    flat = torch.cat([tensor.flatten() for tensor in found])
    dist.all_reduce(flat)
    flat /= size()
    for tensor, part in zip(found, flat.split([tensor.numel() for tensor in found]), strict=True):
        tensor.copy_(part.view_as(tensor))


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """After a backward pass: every process takes the same step."""
    average(parameter.grad for parameter in parameters if parameter.grad is not None)


def broadcast_module(module: nn.Module) -> None:
    """Weights and buffers as the first process drew them."""
    if size() > 1:
        for tensor in (*module.parameters(), *module.buffers()):
            dist.broadcast(tensor.detach(), 0)


def seed_each_process() -> None:
    """From here on every process draws its own random numbers, all of them decided by the seed set before."""
    if size() > 1:
        torch.manual_seed(int(torch.randint(2**62, (size(),))[rank()]))


def any_process(*flags: bool) -> tuple[bool, ...]:
    """Whether each flag is up in any process; all get the same answer at the same point of their work."""
    if size() == 1:
        return flags
    raised = torch.tensor(flags, dtype=torch.uint8)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return tuple(bool(flag) for flag in raised)


def all_gather(value: Any) -> list[Any]:
    """The values of all processes, in every one; small ones."""
    values: list[Any] = [value] * size()
    if size() > 1:
        dist.all_gather_object(values, value)
    return values


def gather(value: Any) -> list[Any]:
    """The values of all processes, in the first one; empty in the others."""
    if size() == 1:
        return [value]
    values: list[Any] = [None] * size() if rank() == 0 else []
    dist.gather_object(on_cpu(value), values or None, 0)
    return values


def on_cpu(value: Any) -> Any:
    """Nested containers with every tensor on the CPU: sent from a GPU, it would be rebuilt on that very GPU."""
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {name: on_cpu(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(on_cpu(each) for each in value)
    return value


def scatter(values: list[Any]) -> Any:
    """To every process its value from the list that the first one holds."""
    if size() == 1:
        return values[0]
    mine: list[Any] = [None]
    dist.scatter_object_list(mine, values or [None] * size(), 0)
    return mine[0]
