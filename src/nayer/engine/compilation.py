"""torch.compile, set up as the distillation needs it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from torch import nn

from nayer.core.errors import first_line
from nayer.engine.signals import handling

# Each use of a network needs a graph of its own: frozen or learning, with hooks or without, whole batches or parts.
GRAPHS = 64


class CannotCompile(Exception):
    """A network cannot be compiled on this machine; the message says why."""


def compile_network(network: nn.Module) -> None:
    """Have a network compiled in place at its next call; copies of it are not compiled."""
    torch._dynamo.config.recompile_limit = GRAPHS
    # The BatchNorm term adds and removes hooks, which must trigger a recompilation.
    torch._dynamo.config.skip_nnmodule_hook_guards = False
    # Silences warnings about a missing CUDA, and pages of output about errors that the exception names anyway.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    logging.getLogger("torch._inductor").setLevel(logging.CRITICAL + 1)
    network.compile(dynamic=False)


@contextmanager
def compiling() -> Iterator[None]:
    """Context for the first calls of compiled networks.

    Raises:
        CannotCompile: compiling fails, most often for want of a C++ compiler.
        BaseException: what a signal handler raised; torch would report it as a compiler failure or swallow it.
    """
    stops: list[BaseException] = []

    def remember(number: int, frame: FrameType | None) -> None:
        try:
            if callable(before[number]):
                before[number](number, frame)
        except BaseException as stop:
            stops.append(stop)
            raise

    with handling(remember) as before:
        try:
            yield
        except RuntimeError as error:
            if not stops:
                if not isinstance(error, torch._dynamo.exc.TorchDynamoException):
                    raise
                raise CannotCompile(first_line(error)) from error
    if stops:
        raise stops[0]
