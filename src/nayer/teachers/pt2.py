"""Read the weights in a `torch.export.save` program (.pt2) as data.

`torch.export.load` itself runs the pickles that such a file may hold; only its raw tensors are read here.
"""

import json
import zipfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from nayer.core.tensors import check_unfolding

WEIGHTS = "data/weights/"
# Type codes of the file format (torch._export.serde.schema.ScalarType).
DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}


def load_exported(path: Path) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, on the CPU.

    Raises:
        UnpicklingError: weights are pickled.
        Exception: the file is damaged, or of another format.
    """
    check_unfolding(path)
    with zipfile.ZipFile(path) as archive:
        files = {name.partition("/")[2]: name for name in archive.namelist()}
        tables = [name for name in files if name.startswith(WEIGHTS) and name.endswith("_config.json")]
        if len(tables) != 1:
            raise ValueError("it holds no weights in the format of torch 2.9 or later")
        described = json.loads(archive.read(files[tables[0]]))["config"]
        # Each file is read once: a stranger's table may name the same one a million times.
        read = lru_cache(maxsize=None)(lambda name: bytearray(archive.read(files[name])))
        return {name: _tensor(read, about) for name, about in described.items()}


def _tensor(read: Callable[[str], bytearray], about: Mapping[str, Any]) -> Tensor:
    if about["use_pickle"]:
        raise UnpicklingError("pickled weights")
    meta = about["tensor_meta"]
    dtype = DTYPES[meta["dtype"]]
    content = read(WEIGHTS + about["path_name"])
    flat = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
    sizes, strides = ([each["as_int"] for each in meta[part]] for part in ("sizes", "strides"))
    offset = meta["storage_offset"]["as_int"]
    # The description is a stranger's, too: it may reach beyond what the file holds.
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if min([0, offset, *sizes, *strides]) < 0 or (0 not in sizes and last >= len(flat)):
        raise ValueError("its description does not fit its content")
    # No copy: with strides of 0, a few bytes can describe a tensor that is larger than any memory.
    return flat.as_strided(sizes, strides, offset)
