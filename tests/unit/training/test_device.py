"""Precision follows what the device computes fast, unless the parameters say otherwise."""

import pytest
import torch

from nayer.training.device import WORTH_COMPILING, compiles, computes_in_bf16

CPU = torch.device("cpu")


@pytest.mark.parametrize("capability", ["avx512_bf16", "amx_bf16"])
def test_auto_is_bf16_only_where_the_cpu_computes_in_it(capability, runtime, monkeypatch):
    auto = runtime.model_copy(update={"precision": "auto"})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True})
    assert computes_in_bf16(auto, CPU)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, capability: False})
    assert not computes_in_bf16(auto, CPU)


@pytest.mark.parametrize(("precision", "bf16"), [("fp32", False), ("bf16", True)])
def test_a_precision_that_is_named_is_taken_on_any_machine(precision, bf16, runtime, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": not bf16})
    assert computes_in_bf16(runtime.model_copy(update={"precision": precision}), CPU) is bf16


def test_a_gpu_that_only_emulates_bf16_stays_with_fp32(runtime, monkeypatch):
    auto = runtime.model_copy(update={"precision": "auto"})
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert not computes_in_bf16(auto, torch.device("cuda"))


@pytest.mark.parametrize(
    ("amx", "pixels", "compiled"),
    [(True, WORTH_COMPILING, True), (True, WORTH_COMPILING / 2, False), (False, WORTH_COMPILING, False)],
)
def test_auto_compiles_long_runs_where_that_was_measured_to_pay(amx, pixels, compiled, runtime, monkeypatch):
    auto = runtime.model_copy(update={"compile": "auto"})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx, "avx512_bf16": True})
    assert compiles(auto, CPU, pixels) is compiled
