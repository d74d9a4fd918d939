"""Read a weights file that was made elsewhere, without running pickled code, whatever the weights are wrapped in."""

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from nayer.core.errors import InputError, first_line
from nayer.core.tensors import check_unfolding
from nayer.teachers.pt2 import load_exported

# Mappings that are searched for weights; a real checkpoint nests a few.
MOST_WRAPPERS = 100
# Keys under which training scripts keep the weights; averaged ones come last, used only where there are no others.
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "teacher",
    "state_dict_ema",
    "model_ema",
    "ema",
)
# First bytes of a zip archive, and of a pickle of protocol 2 or later.
MAGIC = (b"PK", b"\x80")


def read_weights(path: Path, key: str) -> dict[str, Tensor]:
    """The state dict in a .safetensors or .pt2 file, or in a `torch.save` file of the old or the new format.

    Raises:
        InputError: the file is missing, cut short, holds code or no weights; `key` is the parameter in the message.
    """
    if not path.is_file():
        raise InputError(f"{key}: '{path}' does not exist; correct the path.")
    try:
        content = READERS.get(path.suffix, _load_pickled)(path)
    except pickle.UnpicklingError as error:
        with path.open("rb") as file:
            foreign = not file.read(2).startswith(MAGIC)
        if foreign:
            raise InputError(f"{key}: '{path}' was not written by torch.save; give the weights file.") from error
        raise InputError(
            f"{key}: '{path}' holds more than weights (a whole model, or code), which is never run here; where you "
            "trust it, write torch.save(model.state_dict(), ...) or a safetensors file, and give that."
        ) from error
    except Exception as error:  # a damaged file may raise anything, even MemoryError
        if "TorchScript" in str(error):
            raise InputError(
                f"{key}: '{path}' is a TorchScript program; where you trust it, write "
                "torch.save(torch.jit.load(...).state_dict(), ...), and give that."
            ) from error
        raise InputError(
            f"{key}: '{path}' is damaged or only half downloaded ({first_line(error)}); fetch or save it again."
        ) from error
    weights = find_weights(content)
    if not weights:
        raise InputError(f"{key}: '{path}' holds no weights; write torch.save(model.state_dict(), ...) and give that.")
    return weights


def _load_pickled(path: Path) -> Any:
    check_unfolding(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


READERS: Mapping[str, Callable[[Path], Any]] = {".safetensors": load_file, ".pt2": load_exported}


def find_weights(content: Any, seen: set[int] | None = None) -> dict[str, Tensor]:
    """The tensors by name in a state dict or in a training script's checkpoint; empty if there are none."""
    seen = set() if seen is None else seen
    # A stranger's mappings may contain themselves, or each other so often or so deep that the search never ends.
    if not isinstance(content, Mapping) or id(content) in seen or len(seen) >= MOST_WRAPPERS:
        return {}
    seen.add(id(content))
    for name in WRAPPERS:
        if inner := find_weights(content.get(name), seen):
            return inner
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
