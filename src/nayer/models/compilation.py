"""torch.compile as the distillation uses it."""

import logging

import torch
from torch import nn

from nayer.errors import first_line

# A network has a graph for each of its uses: frozen or learning, watched or not, in whole batches or parts of them.
GRAPHS = 64


def compile_network(network: nn.Module) -> None:
    """Compile a network in place, when it is next called; a copy of it is not compiled.

    What cannot be compiled is computed as it was before.
    """
    torch._dynamo.config.recompile_limit = GRAPHS
    torch._dynamo.config.suppress_errors = True
    # The hooks of the BatchNorm term come and go.
    torch._dynamo.config.skip_nnmodule_hook_guards = False
    network.compile(dynamic=False)


def why_not_compiled(device: torch.device) -> str | None:
    """Why nothing can be compiled on this machine, if so: found by trying, which takes some seconds."""
    # It warns of a CUDA that is not there.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    with torch._dynamo.config.patch(suppress_errors=False):
        try:
            torch.compile(lambda x: x + 1)(torch.zeros(8, device=device))
        except RuntimeError as error:
            return first_line(error)
    return None
