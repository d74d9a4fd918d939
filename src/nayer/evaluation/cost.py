"""What a model costs to keep and to run, and what it cost to make."""

import copy
import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from nayer.models.classifier import Classifier

LATENCY_BATCHES = (1, 64)


def cost(
    teacher: Classifier,
    student: Classifier,
    latency_seconds: float,
    teacher_training: dict[str, Any],
    distillation: dict[str, Any],
) -> dict[str, Any]:
    """Both models side by side on this machine, and how many times smaller the student is.

    Seconds and latencies differ from run to run; nothing that must be reproducible is made from them.
    """
    models = {"teacher": model_cost(teacher, latency_seconds), "student": model_cost(student, latency_seconds)}
    ratios = {
        name: models["teacher"][name] / models["student"][name]
        for name in models["teacher"]
        if isinstance(models["teacher"][name], int | float)
    }
    return {
        **models,
        "ratio": ratios,
        "teacher_training": teacher_training,
        "distillation": distillation,
        "machine": machine(),
    }


def model_cost(classifier: Classifier, latency_seconds: float) -> dict[str, Any]:
    """Parameters, multiply-adds per image, bytes of the file, and median latency in milliseconds on the CPU."""
    model = copy.deepcopy(classifier).cpu().eval()
    shape = (classifier.images.channels, classifier.images.size, classifier.images.size)
    return {
        "architecture": classifier.architecture,
        "parameters": classifier.parameter_count,
        "macs": multiply_adds(model, shape),
        "file_bytes": file_bytes(classifier),
        **{f"latency_ms_batch_{n}": latency(model, torch.rand(n, *shape), latency_seconds) for n in LATENCY_BATCHES},
    }


@torch.inference_mode()
def multiply_adds(model: Classifier, shape: tuple[int, int, int]) -> int:
    """Multiply-adds of one image (C, H, W), in convolutions and matrix products."""
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *shape))
    return int(counter.get_total_flops()) // 2


def file_bytes(classifier: Classifier) -> int:
    """Size of the classifier file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "classifier.safetensors"
        classifier.save(path)
        return path.stat().st_size


@torch.inference_mode()
def latency(model: Classifier, images: torch.Tensor, seconds: float) -> float:
    """Median milliseconds of one forward pass over the batch, with all threads of torch."""
    timer = Timer("model(images)", globals={"model": model, "images": images}, num_threads=torch.get_num_threads())
    return float(timer.blocked_autorange(min_run_time=seconds).median * 1000)


def machine() -> dict[str, Any]:
    """Where the figures were measured."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "accelerator": str(accelerator) if accelerator else "none",
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        "transformers": version("transformers"),
    }


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
