"""Writes and reads state files, and captures the state of torch's random generators for them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nayer.core.tensors import check_unfolding


def random_state(device: torch.device) -> dict[str, Any]:
    """State of the random generators of torch on the CPU and on the device of a run, which alone the run draws from."""
    there = None if device.type == "cpu" else torch.get_device_module(device).get_rng_state(device)
    return {"cpu": torch.get_rng_state(), "device": there}


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Restore those generators to what `random_state` returned, for this device or another of its kind."""
    torch.set_rng_state(state["cpu"].cpu())
    if state["device"] is not None and device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state["device"].cpu(), device)


def save_state(content: dict[str, Any], path: Path) -> None:
    # Through a Python file: torch's own writer does not say why a write failed.
    with path.open("wb") as file:
        torch.save(content, file)


def read_state(path: Path) -> tuple[str, list[dict[str, Any]], dict[str, Any]]:
    """Run id, states by process, and fingerprint from a file that `ResumePoint.keep` wrote.

    Raises:
        Exception: it is no state file, or is damaged; may be of any type.
    """
    check_unfolding(path)
    # With mmap=True, torch does not verify checksums.
    with zipfile.ZipFile(path) as archive:
        if spoilt := archive.testzip():
            raise ValueError(f"'{spoilt}' has a wrong checksum")
    found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    run_id, states, fingerprint = found["run_id"], found["states"], found["fingerprint"]
    if not (isinstance(run_id, str) and isinstance(states, list) and isinstance(fingerprint, dict)):
        raise TypeError("it holds no state")
    return run_id, states, fingerprint
