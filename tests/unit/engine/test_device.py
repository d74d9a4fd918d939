"""Precision follows what the device computes fast, unless the parameters say otherwise."""

import pytest
import torch

from nayer.core.errors import InputError
from nayer.engine.device import MIN_COMPILED_PIXELS, resolve_compile, resolve_device, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("capability", ["avx512_bf16", "amx_bf16"])
def test_auto_is_bf16_only_where_the_cpu_computes_in_it(capability, runtime, monkeypatch):
    auto = runtime.model_copy(update={"precision": "auto"})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    assert resolve_precision(auto, CPU) == "bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, capability: False})
    assert resolve_precision(auto, CPU) == "fp32"


@pytest.mark.parametrize("name", ["hpu", "privateuseone", "meta", "cuda:99", "gpu"])
def test_a_device_that_is_not_here_is_refused_in_a_sentence(name, runtime):
    with pytest.raises(InputError, match=rf"runtime\.device: '{name}' cannot be used here"):
        resolve_device(runtime.model_copy(update={"device": name}))


@pytest.mark.parametrize(("precision", "bf16"), [("fp32", False), ("bf16", True)])
def test_a_precision_that_is_named_is_taken_on_any_machine(precision, bf16, runtime, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": not bf16})
    assert resolve_precision(runtime.model_copy(update={"precision": precision}), CPU) == precision


def test_a_gpu_that_only_emulates_bf16_stays_with_fp32(runtime, monkeypatch):
    auto = runtime.model_copy(update={"precision": "auto"})
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert resolve_precision(auto, torch.device("cuda")) == "fp32"


@pytest.mark.parametrize(
    ("amx", "pixels", "compiled"),
    [(True, MIN_COMPILED_PIXELS, True), (True, MIN_COMPILED_PIXELS / 2, False), (False, MIN_COMPILED_PIXELS, False)],
)
def test_auto_compiles_long_runs_where_that_was_measured_to_pay(amx, pixels, compiled, runtime, monkeypatch):
    auto = runtime.model_copy(update={"compile": "auto"})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx, "avx512_bf16": True})
    assert resolve_compile(auto, CPU, pixels) is compiled
