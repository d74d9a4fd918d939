"""Saves and loads tensors as safetensors with metadata, computes digests, and refuses dangerous torch files."""

import hashlib
import json
import mmap
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from nayer.core.errors import InputError, first_line
from nayer.core.files import write_atomically

# A single metadata key: with several, their order in the header, and so the file's bytes, change from save to save.
METADATA_KEY = "nayer"


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], kind: str, metadata: Mapping[str, Any]) -> None:
    """Write tensors and JSON-able `metadata` as one safetensors file; equal content gives equal bytes."""
    header = {METADATA_KEY: json.dumps({"kind": kind, **metadata}, sort_keys=True)}
    # Copies, as safetensors refuses tensors that share memory, such as two names of one layer.
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # As bytes: safetensors' file writer makes a temporary file of its own, which a killed process would leave behind.
    content = save(contiguous, metadata=header)
    write_atomically(path, lambda part: part.write_bytes(content))


def load_tensors(path: Path, kind: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read tensors and metadata from a file of `save_tensors`.

    Raises:
        InputError: the file is missing, damaged, or of another kind.
    """
    if not path.is_file():
        raise InputError(f"{kind} file '{path}' does not exist: run the pipeline that makes it, or correct the path.")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(METADATA_KEY)
            metadata = json.loads(header) if header else {}
            tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
    except Exception as error:  # any file may be given: bad offsets, an unknown dtype, a header nested too deep, ...
        raise InputError(
            f"{kind} file '{path}' is damaged or not safetensors ({first_line(error)}): make or copy it again."
        ) from error
    found = metadata.pop("kind", None) if isinstance(metadata, dict) else None
    if found != kind:
        raise InputError(
            f"{kind} file '{path}' was not written by this project as a {kind} (found: {found or 'a foreign file'}): "
            f"point to a {kind} file, or run the pipeline that makes it."
        )
    return tensors, metadata


def own_storage(part: torch.Tensor) -> torch.Tensor:
    """The same values on the CPU in a storage of their own size, not copied there: torch.save writes whole storages."""
    if part.device.type != "cpu" or not part.numel():  # an empty array cannot be viewed as another type
        return part.to("cpu", copy=True)
    return torch.from_numpy(part.view(torch.uint8).numpy()).view(part.dtype)


def check_unfolding(path: Path) -> None:
    """Refuse a torch file that would take more memory than its size as soon as it is read.

    Raises:
        ValueError: it is TorchScript, its archive is compressed or has overlapping entries, or its pickle allocates
            memory that it does not fill.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:2] == b"PK":
            entries = zipfile.ZipFile(file).infolist()
            if any(entry.filename.endswith("/constants.pkl") for entry in entries):
                raise ValueError("TorchScript")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise ValueError("it is compressed, which torch never does")
            if sum(entry.file_size for entry in entries) > len(content):
                raise ValueError("it unpacks beyond its size")
        # Of what torch lets a pickle of weights call, only this can allocate any amount of memory: bytearray(10**12).
        if content.find(b"bytearray\n") >= 0:
            raise ValueError("it asks for a bytearray, which no weights need")


def tensors_digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """sha256 over names and values of tensors, as hex; it does not depend on where or how they are stored."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(tensors[name].detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
