"""Checks that all processes of a distillation would compute the same."""

import torch

from nayer.core.errors import InputError
from nayer.engine.config import RuntimeConfig
from nayer.engine.device import resolve_device, resolve_precision
from nayer.engine.fingerprint import checkout_digest


def describe_process(runtime: RuntimeConfig) -> dict[str, str]:
    """What must be the same in every process, by the parameter or thing to change if it is not."""
    device = resolve_device(runtime)
    versions = f"torch {torch.__version__}, nayer's source {checkout_digest()[:12]}"
    precision = resolve_precision(runtime, device)
    return {"runtime.device": device.type, "runtime.precision": precision, "the checkout": versions}


def check_consistent(found: list[dict[str, str]]) -> None:
    """Refuse processes that would not compute the same; `found` has the `describe_process` of each, by rank.

    Raises:
        InputError: two processes differ; names the key and both values.
    """
    for rank, other in enumerate(found):
        for key, value in other.items():
            if value != found[0][key]:
                raise InputError(
                    f"{key}: {value} in process {rank}, but {found[0][key]} in the first one; all must compute alike, "
                    "so set it, or use the same checkout and environment on every machine."
                )
