"""Compare an INT8 file with its fp32 original: agreement, accuracy, size and latency."""

import time
from statistics import median
from typing import Any

import torch
from torch import Tensor

from nayer.evaluation.cost import LATENCY_BATCHES, machine
from nayer.evaluation.metrics import share
from nayer.export.onnx import OnnxFile

PRECISIONS = ("fp32", "int8")


def keeps(
    fp32: OnnxFile,
    int8: OnnxFile,
    teacher_says: Tensor,
    pixels: Tensor,
    labels: Tensor | None,
    fp32_says: Tensor | None = None,
    of_teacher: bool = False,
) -> dict[str, Any]:
    """Agreement with the teacher and, with labels (N,), accuracy of both files on uint8 pixels (N, C, H, W).

    `teacher_says` are the teacher's classes (N,), `fp32_says` those of the fp32 file, where they are known already. In
    the result, `loss_points` is the larger of the two losses of INT8, in percentage points. For the teacher's own files
    (`of_teacher`) with labels it is that of accuracy alone: every changed answer lowers the teacher's agreement with
    itself, even one that is now right.
    """
    found: dict[str, Any] = {}
    for name, file, known in zip(PRECISIONS, (fp32, int8), (fp32_says, None), strict=True):
        says = file.predict(pixels).argmax(1) if known is None else known
        found[name] = {"agreement": share(says == teacher_says)}
        if labels is not None:
            found[name]["top1"] = share(says == labels)
        found[name]["file_bytes"] = len(file.content)
    judged = [key for key in ("top1", "agreement") if key in found["fp32"]][: 1 if of_teacher else None]
    losses = [found["fp32"][key] - found["int8"][key] for key in judged]
    return {**found, "loss_points": round(100 * max(losses), 6), "images": len(pixels)}


def latencies(fp32: OnnxFile, int8: OnnxFile, pixels: Tensor, seconds: float) -> dict[str, Any]:
    """Median milliseconds per batch on one thread of this CPU, by precision and batch size; the files take turns.

    `pixels` are some images, uint8; `seconds` is the measuring time for each batch size.
    """
    sessions = {name: file.session(threads=1) for name, file in zip(PRECISIONS, (fp32, int8), strict=True)}
    found: dict[str, Any] = {name: {} for name in PRECISIONS}
    for count in LATENCY_BATCHES:
        batch = {"pixels": pixels[torch.arange(count) % len(pixels)].numpy()}
        taken: dict[str, list[float]] = {name: [] for name in PRECISIONS}
        end = time.perf_counter() + seconds
        while len(taken["int8"]) < 3 or time.perf_counter() < end:
            for name, session in sessions.items():
                began = time.perf_counter()
                session.run(["logits"], batch)
                taken[name].append(time.perf_counter() - began)
        for name, each in taken.items():
            found[name][f"latency_ms_batch_{count}"] = 1000 * median(each[1:])  # the first run warms up
    return {**found, "machine": machine()}
