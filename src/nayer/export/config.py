"""Parameters of the INT8 file."""

from typing import Annotated, Literal

from pydantic import Field

from nayer.core.config import Config

Calibration = Literal["minmax", "entropy", "percentile"]


class QuantizeGateConfig(Config):
    """Limit on what an INT8 file may lose; a loss equal to it passes."""

    largest_loss: Annotated[float, Field(ge=0, le=100)]
    """Largest loss against the fp32 file, in percentage points, of agreement with the teacher and, with test data, of
    accuracy; for the teacher's own file with test data, of accuracy alone."""


class QuantizeConfig(Config):
    """Export of a model as an INT8 ONNX file, calibrated on synthetic images from the memory."""

    model: Literal["student", "teacher"]
    """Network to quantise; teacher is for those who want no other network, and promote leaves that file out."""
    images: Annotated[int, Field(ge=1, le=5000)]
    """Number of synthetic images used for calibration, balanced by class; at most distill.memory_sample."""
    calibration: Calibration
    """How the range of an activation is chosen from its values on the calibration images."""
    gate: QuantizeGateConfig
    """Criterion that the INT8 file must meet to be used."""
