"""Whether all processes of a distillation would compute the same."""

import torch

from nayer.config import RuntimeConfig
from nayer.errors import InputError
from nayer.training.device import computes_in_bf16, resolve_device
from nayer.training.resume import library_digest


def computing(runtime: RuntimeConfig) -> dict[str, str]:
    """What must be the same in every process, by the key or the name under which it is changed."""
    device = resolve_device(runtime)
    precision = "bf16" if computes_in_bf16(runtime, device) else "fp32"
    versions = f"torch {torch.__version__}, nayer's source {library_digest()[:12]}"
    return {"runtime.device": device.type, "runtime.precision": precision, "the checkout": versions}


def check_alike(found: list[dict[str, str]]) -> None:
    """Refuse processes that would not compute the same; `found` is what each of them says of itself.

    Raises:
        InputError: names the key and both values.
    """
    for rank, other in enumerate(found):
        for key, value in other.items():
            if value != found[0][key]:
                raise InputError(
                    f"{key}: {value} in process {rank}, but {found[0][key]} in the first one; all must compute alike, "
                    "so set it, or take the same checkout and environment on every machine."
                )
