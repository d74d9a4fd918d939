"""A student as an ONNX file, for where there is no PyTorch; needs the extra `onnx`."""

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from nayer.core.errors import InputError
from nayer.core.files import write_atomically
from nayer.mlops.registry.packaging import RawPixels
from nayer.models.classifier import Classifier

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
# fp32 sums in another order; logits are some tens.
TOLERANCE = 1e-4
BATCHES = (1, 7, 64)


def check_onnx(file: str) -> None:
    """Refuse an export for which packages are missing, or a path that is no .onnx file."""
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise InputError(
            f"promote.onnx: needs {', '.join(missing)}, not installed; run pip install --no-deps --require-hashes -r "
            "requirements-all.lock, or set null."
        )
    if Path(file).suffix != ".onnx":
        raise InputError(f"promote.onnx: '{file}' must be the path of a file that ends in .onnx, or null.")


def export(student: Classifier, file: Path) -> float:
    """Write `pixels` uint8 (N, C, H, W) -> `logits` (N, classes), any N; returns the largest deviation of its logits.

    Raises:
        RuntimeError: onnxruntime gives other logits than the student; nothing is written.
    """
    model, images = RawPixels(student).eval(), student.images
    shape = (images.channels, images.size, images.size)
    program: Any = torch.onnx.export(
        model,
        (torch.zeros((2, *shape), dtype=torch.uint8),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["pixels"],
        output_names=["logits"],
        verbose=False,
    )
    content = program.model_proto.SerializeToString()
    deviation = compare(model, content, shape)
    if deviation > TOLERANCE:
        raise RuntimeError(f"the ONNX file gives logits that differ by {deviation:.2g}, more than {TOLERANCE:g}")
    write_atomically(file, lambda part: part.write_bytes(content))
    return deviation


def compare(model: RawPixels, content: bytes, shape: tuple[int, int, int]) -> float:
    """The largest difference between the logits of the model and those of onnxruntime, on random pixels."""
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for count in BATCHES:
        pixels = torch.randint(256, (count, *shape), dtype=torch.uint8, generator=generator)
        (logits,) = session.run(["logits"], {"pixels": pixels.numpy()})
        with torch.inference_mode():
            largest = max(largest, float((model(pixels) - torch.from_numpy(logits)).abs().max()))
    return largest
