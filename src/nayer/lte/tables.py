"""Import of ready-made label embeddings from a safetensors file, written by this project or foreign."""

from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from nayer.core.errors import InputError, first_line
from nayer.core.files import digest
from nayer.core.tensors import METADATA_KEY
from nayer.lte.embeddings import MATRIX, TENSOR, LabelEmbeddings

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def import_table(encoder: str, path: Path, class_names: tuple[str, ...]) -> LabelEmbeddings:
    """The table in `path`, with rows in the order of `class_names`; `encoder` is its name in the parameters.

    A file written by this project keeps its provenance. A foreign one needs a floating-point tensor `embeddings`
    (classes, dim); its prompt is "unknown" and its revision is the digest of the file.

    Raises:
        InputError: the file is damaged, lacks the tensor, or was made for other classes.
    """
    try:
        with safe_open(path, framework="pt") as file:
            own = METADATA_KEY in (file.metadata() or {})
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
    except Exception as error:  # a foreign file can fail in many ways: bad offsets, an unknown dtype, ...
        raise InputError(
            f"lte.encoder: '{encoder}' is damaged or not safetensors ({first_line(error)}): make or copy it again."
        ) from error
    if own:
        return _own_table(encoder, path, class_names)
    return LabelEmbeddings(
        _checked(encoder, tensors, len(class_names)).to(torch.float32), class_names, encoder, digest(path), "unknown"
    )


def _own_table(encoder: str, path: Path, class_names: tuple[str, ...]) -> LabelEmbeddings:
    embeddings = LabelEmbeddings.load(path)
    # The class names in the file are trusted: rows in another order would give classes the wrong embeddings.
    if embeddings.class_names != class_names:
        raise InputError(
            f"lte.encoder: '{encoder}' was made for the classes {_short(embeddings.class_names)}, the data has "
            f"{_short(class_names)}: make the table for these classes, or set data.class_names to those of the table."
        )
    return embeddings


def _checked(encoder: str, tensors: dict[str, Tensor], classes: int) -> Tensor:
    """The tensor `embeddings`, checked to be a table for `classes` classes."""
    if TENSOR not in tensors:
        found = ", ".join(f"'{name}'" for name in sorted(tensors)) or "nothing"
        raise InputError(
            f"lte.encoder: '{encoder}' has no tensor '{TENSOR}' (found: {found}): give the class table that name."
        )
    table = tensors[TENSOR]
    if table.dtype not in FLOATS or table.ndim != MATRIX:
        raise InputError(
            f"lte.encoder: '{TENSOR}' of '{encoder}' is {table.dtype} of shape {tuple(table.shape)}: "
            "store it as a float table (classes x dim)."
        )
    if len(table) != classes:
        raise InputError(
            f"lte.encoder: '{encoder}' has {len(table)} rows, the data has {classes} classes: "
            "point to a table with one row per class, in the order of the labels."
        )
    return table


def _short(names: tuple[str, ...], shown: int = 3) -> str:
    """The first names, and the total number if there are more."""
    listed = ", ".join(f"'{name}'" for name in names[:shown])
    return f"{listed}, … ({len(names)})" if len(names) > shown else listed
