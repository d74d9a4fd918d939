"""Device, precision and compilation: resolves what `auto` means on this machine."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal

import torch

from nayer.core.errors import InputError, first_line
from nayer.engine.config import RuntimeConfig

Precision = Literal["fp32", "bf16"]
Autocast = Callable[[], AbstractContextManager[Any]]
# Pixels that a distillation synthesises, summed over all steps; below this, compiling hardly pays.
MIN_COMPILED_PIXELS = 1e8


def resolve_device(config: RuntimeConfig) -> torch.device:
    """The device that `runtime.device` names; sets the number of CPU threads too.

    Raises:
        InputError: torch does not know the device or this machine lacks it.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    name = config.device
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # `meta` is a valid name, but holds no values
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = first_line(error)
        raise InputError(f"runtime.device: '{name}' cannot be used here ({reason}); set auto or cpu.") from error
    return device


def resolve_precision(config: RuntimeConfig, device: torch.device) -> Precision:
    """Precision of forward passes; `auto` takes bf16 where that is faster than fp32 (docs/decisions/009)."""
    if config.precision != "auto":
        return config.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"


def resolve_compile(config: RuntimeConfig, device: torch.device, pixels: float) -> bool:
    """Whether a distillation of so many pixels compiles its networks; `auto`: if that pays (docs/decisions/009)."""
    if config.compile != "auto":
        return config.compile
    amx = device.type == "cpu" and torch.cpu.get_capabilities().get("amx_bf16")
    return bool(amx) and pixels >= MIN_COMPILED_PIXELS


def autocast(device: torch.device, precision: Precision) -> Autocast:
    """A factory of contexts that run forward passes in a precision; weights and losses stay fp32."""
    return partial(torch.autocast, device.type, torch.bfloat16) if precision == "bf16" else nullcontext


def seconds_to_synchronize(device: torch.device) -> float:
    """Wait until the device has finished its queued work; returns the seconds waited, 0 on a CPU."""
    if device.type == "cpu":
        return 0.0
    began = time.monotonic()
    torch.accelerator.synchronize(device)
    return time.monotonic() - began
