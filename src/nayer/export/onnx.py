"""A classifier as an ONNX file: `pixels` uint8 (N, C, H, W) -> `logits` (N, classes), any N; needs the extra `onnx`."""

from __future__ import annotations

import copy
import hashlib
import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nayer.core.errors import InputError, first_line
from nayer.core.files import write_atomically
from nayer.export.raw_pixels import RawPixels
from nayer.models.classifier import Classifier
from nayer.models.configured import Logits

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
# Allowed deviation of logits: fp32 sums are taken in another order, and logits are of the order of tens.
TOLERANCE = 1e-4
# Larger logits are computed with proportionally less precision.
LARGE = 100.0
BATCHES = (1, 7, 64)
CHUNK = 250


def check_packages(key: str, way_out: str) -> None:
    """Refuse to go on if packages that ONNX needs are missing.

    Raises:
        InputError: names `key`, the packages, and `way_out` as the other choice.
    """
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise InputError(
            f"{key}: needs {', '.join(missing)}, not installed; run pip install --no-deps --require-hashes -r "
            f"requirements-all.lock, or {way_out}."
        )


def check_onnx(file: str) -> None:
    """Refuse an export if packages are missing or the path does not end in .onnx."""
    check_packages("promote.onnx", "set null")
    if Path(file).suffix != ".onnx":
        raise InputError(f"promote.onnx: '{file}' must be the path of a file that ends in .onnx, or null.")


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file, held as its bytes."""

    content: bytes

    def save(self, path: Path) -> None:
        """Write the file whole or not at all."""
        write_atomically(path, lambda part: part.write_bytes(self.content))

    @classmethod
    def load(cls, path: Path) -> OnnxFile:
        """Read a file; its content is only checked when it is run."""
        return cls(path.read_bytes())

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.content).hexdigest()

    def session(self, threads: int = 0) -> Any:
        """An onnxruntime session on the CPU; with 0 `threads`, onnxruntime chooses their number.

        Raises:
            InputError: onnxruntime cannot read the file.
        """
        runtime = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            return runtime.InferenceSession(self.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common base class
            raise InputError(f"the ONNX file cannot be run ({first_line(error)}); make it again.") from error

    def predict(self, pixels: Tensor) -> Tensor:
        """The logits (N, classes) of uint8 pixels (N, C, H, W)."""
        session = self.session()
        return torch.cat(
            [torch.from_numpy(session.run(["logits"], {"pixels": part.numpy()})[0]) for part in pixels.split(CHUNK)]
        )


def to_onnx(classifier: Classifier) -> tuple[OnnxFile, float]:
    """The classifier as an ONNX file, and the largest deviation of the file's logits on random pixels.

    Raises:
        InputError: the network cannot be exported, or onnxruntime's logits deviate too much from its own.
    """
    model, images = RawPixels(with_plain_attention(classifier)).eval(), classifier.images
    shape = (images.channels, images.size, images.size)
    way_out = "set promote.onnx: null and skip the pipeline quantize, or use another architecture"
    try:
        program: Any = torch.onnx.export(
            model,
            (torch.zeros((2, *shape), dtype=torch.uint8),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["pixels"],
            output_names=["logits"],
            verbose=False,
        )
        file = OnnxFile(without_notes(program.model_proto).SerializeToString())
    except Exception as error:  # the exporter's errors share no base class; files over 2 GB fail, too
        said = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"'{display(classifier)}' cannot be written as ONNX ({said}); {way_out}.") from error
    deviation, largest = compare(model, file, shape)
    allowed = TOLERANCE * max(1.0, largest / LARGE)
    if not deviation <= allowed:
        raise InputError(
            f"'{display(classifier)}' as ONNX gives logits off by {deviation:.2g}, where {allowed:.2g} is allowed; "
            f"{way_out}."
        )
    return file, deviation


def display(classifier: Classifier) -> str:
    """The architecture's name for messages, without the configuration in braces."""
    return classifier.architecture.partition("{")[0]


def with_plain_attention(classifier: Classifier) -> Classifier:
    """The classifier for the exporter, which knows no fused kernels: attention of transformers is written out."""
    if not isinstance(classifier.network, Logits):
        return classifier
    plain = copy.deepcopy(classifier)
    network: Any = plain.network
    network.model.set_attn_implementation("eager")
    return plain


def without_notes(model: Any) -> Any:
    """The model without the exporter's notes on every node, in place: an eighth of a small network's file."""
    graph = model.graph
    for each in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del each.metadata_props[:]
        each.doc_string = ""
    del graph.value_info[:]
    return model


def compare(model: RawPixels, file: OnnxFile, shape: tuple[int, int, int]) -> tuple[float, float]:
    """Largest difference between the model's and onnxruntime's logits on random pixels, and the model's largest logit.

    Both are absolute values. A NaN among the logits makes the difference NaN.
    """
    generator = torch.Generator().manual_seed(0)
    found = []
    for count in BATCHES:
        pixels = torch.randint(256, (count, *shape), dtype=torch.uint8, generator=generator)
        with torch.inference_mode():
            logits = model(pixels)
            found.append(torch.stack([(logits - file.predict(pixels)).abs().max(), logits.abs().max()]))
    deviation, largest = torch.stack(found).amax(0).tolist()
    return deviation, largest
