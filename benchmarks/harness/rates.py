"""Step times of a pair on one device, and the share of the device's own matmul rate that they reach."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from harness.scenario import parameters, runtime
from nayer.core.images import ImageSpec
from nayer.distillation.build import build
from nayer.distillation.config import DistillConfig
from nayer.distillation.plan import Plan, plan
from nayer.distillation.state import LoopState
from nayer.engine.device import seconds_to_synchronize
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier, freeze

MATRIX, STEPS, ROUNDS = 8192, 30, 3
# How many kernels of a profile are kept: those that took longest.
KERNELS = 15


def rates(scenario: str, teacher: str, student: str, device: torch.device, compiled: bool) -> dict[str, Any]:
    """Seconds, TFLOP/s and their share of the matmul rate, of a synthesis and of a student step; random weights.

    On a GPU, steps are timed as they are and, where possible, recorded as CUDA graphs, the latter with the kernels that
    take longest. Where the host's seconds equal those of the step, the GPU waits for its host.
    """
    planned = planned_pair(scenario, teacher, student, device, compiled)
    peak = matmul_rate(device, torch.bfloat16 if planned.precision == "bf16" else torch.float32)
    counted = work(planned_pair(scenario, teacher, student, device, False))
    found: dict[str, Any] = {"precision": planned.precision, "compiled": compiled, "matmul_tflops": peak}
    state = build(planned)
    for recorded in (False, True) if state.recorder.on else (False,):
        recorders = state.recorder, state.method.context.recorder
        for each in recorders:
            each.on = recorded
        began = time.perf_counter()
        both = parts(planned, state)
        for steps, _ in both.values():
            steps()
        seconds_to_synchronize(device)
        found[f"{'recorded_' if recorded else ''}first_calls_seconds"] = time.perf_counter() - began
        if recorded and not all(each.on for each in recorders):
            return {**found, "recorded": False}
        for name, (steps, count) in both.items():
            times = [timed(steps, device) for _ in range(ROUNDS)]
            host, seconds = (median(each) / count for each in zip(*times, strict=True))
            key, rate = f"recorded_{name}" if recorded else name, counted[name] / seconds / 1e12
            found |= {f"{key}_seconds": seconds, f"{key}_host_seconds": host}
            found |= {f"{key}_tflops": rate, f"{key}_share_of_matmul": rate / peak}
            if recorded:
                found[f"{key}_kernels"] = longest_kernels(steps)
    return found


def longest_kernels(steps: Callable[[], object]) -> dict[str, float]:
    """Kernels that take longest while a GPU does some steps, each with its share of the total time."""
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        steps()
        torch.cuda.synchronize()
    took = {each.key: each.self_device_time_total for each in seen.key_averages() if each.self_device_time_total}
    longest = sorted(took, key=lambda name: -took[name])[:KERNELS]
    return {name[:160]: took[name] / sum(took.values()) for name in longest}


def planned_pair(scenario: str, teacher: str, student: str, device: torch.device, compiled: bool) -> Plan:
    """Plan of a pair with random weights, the scenario's batches and a memory of 20 of them."""
    values = parameters(scenario, "distill")
    size, channels, classes = (32, 3, 100) if scenario == "cifar100" else (32, 3, 10)
    names = tuple(f"class {number}" for number in range(classes))
    spec = ImageSpec(size, channels, (0.5,) * channels, (0.25,) * channels)
    values["memory"] = 20 * values["synthesis"]["batch_size"]
    values["synthesis"]["steps"] = STEPS
    values["student"]["architecture"] = student
    table = LabelEmbeddings(torch.randn(classes, 384), names, "random", "", "unused")
    settings = runtime(device=str(device), compile=compiled)
    network = freeze(Classifier.build(teacher, names, spec))
    return plan(network, table, DistillConfig.model_validate(values), settings, seed=0)


def parts(planned: Plan, state: LoopState) -> dict[str, tuple[Callable[[], object], int]]:
    """A function for each of the two kinds of steps, with the number of steps that a call of it does."""
    state.method.start_epoch(planned.config.warmup_epochs)

    def synthesis() -> None:
        made = state.method.step(state.trainer.student)
        state.targets.add(made.images, made.labels)

    def student() -> None:
        for _ in range(STEPS):
            state.learn(planned.config.student)

    synthesis()
    return {"synthesis": (synthesis, STEPS), "student": (student, STEPS)}


def work(planned: Plan) -> dict[str, float]:
    """FLOP of a step of each kind, counted operation by operation."""
    found = {}
    state = build(planned)
    state.recorder.on = state.method.context.recorder.on = False  # a recorded step has no operations to count
    for name, (steps, count) in parts(planned, state).items():
        with FlopCounterMode(display=False) as counter:
            steps()
        found[name] = counter.get_total_flops() / count
    return found


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """TFLOP/s of a large matrix product in this precision."""
    size = MATRIX if device.type != "cpu" else MATRIX // 4
    a = torch.randn(size, size, device=device, dtype=dtype)
    a @ a
    return 2 * size**3 / median(timed(lambda: a @ a, device)[1] for _ in range(10)) / 1e12


def timed(steps: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds until the host has issued all work to the device, and until the device has finished it."""
    seconds_to_synchronize(device)
    began = time.perf_counter()
    steps()
    told = time.perf_counter() - began
    seconds_to_synchronize(device)
    return told, time.perf_counter() - began
