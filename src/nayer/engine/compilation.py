"""torch.compile as the distillation uses it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from torch import nn

from nayer.core.errors import first_line
from nayer.engine.signals import handling

# A network has a graph for each of its uses: frozen or learning, watched or not, in whole batches or parts of them.
GRAPHS = 64


class CannotCompile(Exception):
    """A network cannot be compiled on this machine; the message says why."""


def compile_network(network: nn.Module) -> None:
    """Compile a network in place, when it is next called; a copy of it is not compiled."""
    torch._dynamo.config.recompile_limit = GRAPHS
    # The hooks of the BatchNorm term come and go.
    torch._dynamo.config.skip_nnmodule_hook_guards = False
    # A CUDA that is not there, and pages about what the exception says.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    logging.getLogger("torch._inductor").setLevel(logging.CRITICAL + 1)
    network.compile(dynamic=False)


@contextmanager
def compiling() -> Iterator[None]:
    """Around the first calls of compiled networks.

    Raises:
        CannotCompile: it fails, most often for want of a C++ compiler.
        BaseException: what a signal's handler raised; torch takes that for a failure of its compiler, or for none.
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
