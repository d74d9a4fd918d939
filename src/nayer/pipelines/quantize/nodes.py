"""Adapter nodes for `nayer.export`."""

from typing import Any

from nayer import datasets
from nayer.core.errors import Refused
from nayer.core.tensors import tensors_digest
from nayer.datasets.config import DataConfig
from nayer.evaluation.config import EvaluateConfig
from nayer.evaluation.int8_report import render
from nayer.export.comparison import keeps, latencies
from nayer.export.config import QuantizeConfig
from nayer.export.int8 import choose, quantize
from nayer.export.onnx import OnnxFile, to_onnx
from nayer.models.classifier import Classifier
from nayer.models.inference import predict
from nayer.synthesis.sample import SyntheticSample


def export_fp32(student: Classifier, teacher: Classifier, config: QuantizeConfig) -> OnnxFile:
    """Chosen model as an ONNX file in fp32."""
    return to_onnx(teacher if config.model == "teacher" else student)[0]


def quantize_model(fp32: OnnxFile, student: Classifier, sample: SyntheticSample, config: QuantizeConfig) -> OnnxFile:
    """The same model in INT8, calibrated on synthetic images alone."""
    return quantize(fp32, choose(sample, config.images, student.class_names), config.calibration)


def compare_precisions(
    fp32: OnnxFile,
    int8: OnnxFile,
    student: Classifier,
    teacher: Classifier,
    probes: SyntheticSample,
    config: QuantizeConfig,
    data: DataConfig,
) -> dict[str, Any]:
    """Accuracy and agreement of fp32 and INT8 on the real test data, or agreement on the probe if there are none."""
    test = None if data.dataset == datasets.NONE else datasets.load_for(teacher.class_names, data).test
    pixels, labels = (test.images, test.labels) if test else (probes.images, None)
    device = teacher.mean.device
    of_teacher = config.model == "teacher"
    found = keeps(fp32, int8, predict(teacher, pixels, device).argmax(1), pixels, labels, of_teacher=of_teacher)
    model = teacher if of_teacher else student
    return {
        **found,
        "model": config.model,
        "test_data": labels is not None,
        "calibration_images": config.images,
        "largest_loss": config.gate.largest_loss,
        "digests": {"model": tensors_digest(model.network.state_dict()), "int8": int8.digest},
    }


def measure_precisions(
    fp32: OnnxFile, int8: OnnxFile, probes: SyntheticSample, evaluate: EvaluateConfig
) -> dict[str, Any]:
    """Latencies of fp32 and INT8 on this machine."""
    found = latencies(fp32, int8, probes.images, evaluate.latency_seconds)
    return {**found, "digests": {"int8": int8.digest}}


def report_precisions(metrics: dict[str, Any], cost: dict[str, Any], scenario: str) -> str:
    """Report page that compares fp32 and INT8."""
    return render(metrics, cost, scenario)


def check_precisions(metrics: dict[str, Any], page: str) -> None:
    """Refuse an INT8 file that loses too much; the file and its figures are kept for inspection.

    Raises:
        Refused: the loss exceeds `quantize.gate.largest_loss`; says by how much.
    """
    loss, largest = metrics["loss_points"], metrics["largest_loss"]
    if loss > largest:
        raise Refused(
            f"quantize.gate.largest_loss: INT8 loses {loss:.2f} points, over the {largest:g} allowed; the file "
            "is kept for inspection, not promoted. Use more quantize.images or another quantize.calibration, or ship "
            "fp32 (promote.onnx)."
        )
