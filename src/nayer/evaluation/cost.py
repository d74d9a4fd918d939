"""Cost of a model: to store, to run, and to make."""

import copy
import os
import platform
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from nayer.models.classifier import Classifier

LATENCY_BATCHES = (1, 64)
# For the estimate: passes of a measurement before those that count, and the images of the pass that is timed for it.
PASSES_BEFORE = 4
FEW_IMAGES = 4


def cost(
    teacher: Classifier,
    student: Classifier,
    latency_seconds: float,
    teacher_training: Mapping[str, Any],
    distillation: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of `cost.json`: the costs of both models, and the teacher's divided by the student's.

    `latency_seconds` is the measuring time for each latency; the costs of the two trainings are passed through. Seconds
    and latencies differ from run to run: nothing that must be reproducible is made from them.
    """
    models = {
        name: model_cost(classifier, file_size(classifier), latency_seconds)
        for name, classifier in (("teacher", teacher), ("student", student))
    }
    ratios = {
        name: value / models["student"][name]
        for name, value in models["teacher"].items()
        if isinstance(value, int | float)
    }
    return {
        **models,
        "ratio": ratios,
        "teacher_training": dict(teacher_training),
        "distillation": dict(distillation),
        "machine": machine(),
    }


def model_cost(classifier: Classifier, file_bytes: int, seconds_budget: float) -> dict[str, Any]:
    """Parameters, multiply-adds per image, bytes of the file, and median latencies in milliseconds on the CPU.

    A copy of the classifier is measured, in fp32. `seconds_budget` is the measuring time per batch size.
    """
    model = copy.deepcopy(classifier).cpu().eval()
    shape = (classifier.images.channels, classifier.images.size, classifier.images.size)
    latencies = {
        f"latency_ms_batch_{count}": latency(model, torch.rand(count, *shape), seconds_budget)
        for count in LATENCY_BATCHES
    }
    return {
        "architecture": classifier.architecture,
        "parameters": classifier.parameter_count,
        "macs": multiply_adds(model, shape),
        "file_bytes": file_bytes,
        **latencies,
    }


@torch.no_grad()  # in inference mode the counter fails on parametrized weights, such as those of spectral_norm
def multiply_adds(model: torch.nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-adds of one image (C, H, W), in convolutions and matrix products; biases and norms do not count."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter cannot see into torch's fused attention
    try:
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, *shape))
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return int(counter.get_total_flops()) // 2


def file_size(classifier: Classifier) -> int:
    """Size of the classifier file in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "classifier.safetensors"
        classifier.save(path)
        return path.stat().st_size


@torch.inference_mode()
def latency(model: torch.nn.Module, images: torch.Tensor, seconds: float) -> float:
    """Median milliseconds of one forward pass over the batch (N, C, H, W), on one thread of the CPU.

    On one thread, because several wait for each other: beside other work, that can take a hundred times as long as the
    pass. The timer restores the number of threads.
    """
    timer = Timer("model(images)", globals={"model": model, "images": images}, num_threads=1)
    timer.timeit(1)  # the first pass sets up what later ones reuse
    return float(timer.blocked_autorange(min_run_time=seconds).median * 1000)


def latencies_seconds(classifier: Classifier, seconds_budget: float) -> float:
    """Seconds that measuring the latencies of `model_cost` takes, as a timing of few images predicts.

    A pass is never cut short, so one that takes longer than the budget counts in full.
    """
    model, images = copy.deepcopy(classifier).cpu().eval(), classifier.images
    few = torch.zeros(FEW_IMAGES, images.channels, images.size, images.size)
    one = latency(model, few, seconds_budget / 10) / 1000 / FEW_IMAGES
    return sum(PASSES_BEFORE * one * count + max(seconds_budget, one * count) for count in LATENCY_BATCHES)


def machine() -> dict[str, Any]:
    """The machine that the figures were measured on; `accelerator` is None if there is none, memory is in GiB."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "accelerator": accelerator(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": version("torchvision"),
        "transformers": version("transformers"),
    }


def accelerator() -> str | None:
    """The accelerator's name, if there is one."""
    device = torch.accelerator.current_accelerator(check_available=True)
    if device is None:
        return None
    return torch.cuda.get_device_name() if device.type == "cuda" else device.type


def processor() -> str:
    """The processor's name, or its architecture where the system does not tell the name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
