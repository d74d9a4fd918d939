"""The file of a state: how it is written and read, and what it says of torch's random numbers."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nayer.core.tensors import check_unfolding


def random_state() -> dict[str, Any]:
    """The state of torch's generators."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put torch's generators where `random_state` found them."""
    torch.set_rng_state(state["cpu"].cpu())
    if state["cuda"]:
        torch.cuda.set_rng_state_all([each.cpu() for each in state["cuda"]])


def save_state(content: dict[str, Any], path: Path) -> None:
    # Through Python's file: torch's own does not say why it could not write.
    with path.open("wb") as file:
        torch.save(content, file)


def read_state(path: Path) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Run, states by process and fingerprint in a file of `ResumePoint.keep`.

    Raises:
        Exception: it is none, or it is damaged.
    """
    check_unfolding(path)
    # Mapped into memory, torch compares no checksums.
    with zipfile.ZipFile(path) as archive:
        if spoilt := archive.testzip():
            raise ValueError(f"'{spoilt}' in it has another checksum")
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    run_id, states, fingerprint = found["run_id"], found["states"], found["fingerprint"]
    if not (isinstance(run_id, str) and isinstance(states, list) and isinstance(fingerprint, dict)):
        raise TypeError("it is of another kind")
    return run_id, states, fingerprint
