"""Parameters of the INT8 file."""

from typing import Annotated, Literal

from pydantic import Field

from nayer.core.config import Config

Calibration = Literal["minmax", "entropy", "percentile"]


class QuantizeGateConfig(Config):
    """What an INT8 file must keep. What equals the limit passes."""

    largest_loss: Annotated[float, Field(ge=0, le=100)]
    """In points: how far agreement with the teacher and, with test data, accuracy may lie below those of fp32; of the
    teacher itself accuracy alone, where there are test data."""


class QuantizeConfig(Config):
    """A model as an INT8 file of ONNX, calibrated on the synthetic images of the memory."""

    model: Literal["student", "teacher"]
    """Which of the two; the teacher is for those who want no other network, and promote leaves its file alone."""
    images: Annotated[int, Field(ge=1, le=5000)]
    """Synthetic images that it is calibrated on, balanced by class; no more than distill.memory_sample."""
    calibration: Calibration
    """How the range of an activation is chosen from what it is on those images."""
    gate: QuantizeGateConfig
    """What decides whether the file is fit to be used."""
