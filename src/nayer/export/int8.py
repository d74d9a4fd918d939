"""Static INT8 quantisation by onnxruntime, calibrated on synthetic images alone."""

import importlib
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from nayer.core.errors import InputError, first_line
from nayer.export.config import Calibration
from nayer.export.onnx import OnnxFile, without_notes
from nayer.synthesis.sample import SyntheticSample

CHUNK = 32
METHODS: dict[str, str] = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}


def choose(sample: SyntheticSample, count: int, class_names: tuple[str, ...]) -> Tensor:
    """`count` images of the sample, balanced by class.

    Raises:
        InputError: the sample has fewer images or lacks a class, or `count` is less than the number of classes.
    """
    if count > len(sample.labels):
        raise InputError(
            f"quantize.images: {count}, but the memory's sample holds {len(sample.labels)}; lower it, or raise "
            "distill.memory_sample (for methods that keep one batch: distill.synthesis.batch_size) and distill again."
        )
    by_class = [(sample.labels == label).nonzero()[:, 0] for label in range(len(class_names))]
    if empty := [name for name, places in zip(class_names, by_class, strict=True) if not len(places)]:
        raise InputError(
            f"memory_sample: it has no image of the class '{empty[0]}', so that nothing would be calibrated for it; "
            "distill again, longer or with a larger distill.memory_sample."
        )
    if count < len(class_names):
        raise InputError(f"quantize.images: {count}, but there are {len(class_names)} classes; take at least one each.")
    # The first of every class, then the second of every class, and so on.
    turns = torch.cat([torch.arange(len(places)) for places in by_class])
    return sample.images[torch.cat(by_class)[turns.argsort(stable=True)[:count]]]


def quantize(model: OnnxFile, images: Tensor, calibration: Calibration) -> OnnxFile:
    """The model with weights in INT8 per channel, of 7 bits, and activations in UINT8, whose ranges `images` give.

    `images`: uint8 (N, C, H, W).

    Raises:
        InputError: onnxruntime cannot quantise this model.
    """
    tools = importlib.import_module("onnxruntime.quantization")
    shapes = importlib.import_module("onnxruntime.quantization.shape_inference")
    try:
        with TemporaryDirectory() as folder, _quiet():
            original, prepared, made = (Path(folder, f"{name}.onnx") for name in ("fp32", "prepared", "int8"))
            original.write_bytes(model.content)
            shapes.quant_pre_process(original, prepared, skip_symbolic_shape=True)
            tools.quantize_static(
                prepared,
                made,
                Reader(images),
                quant_format=tools.QuantFormat.QDQ,
                per_channel=True,
                activation_type=tools.QuantType.QUInt8,
                weight_type=tools.QuantType.QInt8,
                reduce_range=True,  # sums of two products of 8 bits overflow on a CPU without VNNI
                calibrate_method=tools.CalibrationMethod[METHODS[calibration]],
            )
            return OnnxFile(with_short_names(importlib.import_module("onnx").load(made)).SerializeToString())
    except Exception as error:  # its errors have no common base class
        raise InputError(
            f"quantize.model: onnxruntime cannot quantise this network ({type(error).__name__}: {first_line(error)}); "
            "ship its fp32 file (promote.onnx), or choose another architecture."
        ) from error


def with_short_names(model: Any) -> Any:
    """The model with numbers for its inner names, in place: long names are a tenth of a small network's file."""
    graph = without_notes(model).graph
    kept = {each.name for each in (*graph.input, *graph.output)}
    short: dict[str, str] = {"": ""}  # the empty name stands for an optional input that is left out

    def of(name: str) -> str:
        return name if name in kept else short.setdefault(name, str(len(short)))

    for constant in graph.initializer:
        constant.name = of(constant.name)
    for node in graph.node:
        node.name = ""
        node.input[:], node.output[:] = [of(each) for each in node.input], [of(each) for each in node.output]
    return model


class Reader:
    """Gives onnxruntime the images in batches; of its CalibrationDataReader only `get_next` is needed."""

    def __init__(self, images: Tensor) -> None:
        # All batches have one size, as the calibrators that build histograms cannot take a shorter last one.
        size = max(each for each in range(1, CHUNK + 1) if len(images) % each == 0)
        self.parts = iter(images.split(size))

    def get_next(self) -> dict[str, Any] | None:
        """The next batch, in the form of the model's inputs; None after the last."""
        part = next(self.parts, None)
        return None if part is None else {"pixels": part.numpy()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the tools' advice and progress, which are meant for those who run them by hand."""
    logging.disable(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
