"""Parameters of the registry."""

from typing import Annotated

from pydantic import Field, PositiveFloat

from nayer.core.config import Config, Fraction, Place, Text


class GateConfig(Config):
    """What a student must reach to become champion. What equals a limit passes."""

    least_top1: Fraction
    """Accuracy on real test data."""
    least_agreement: Fraction
    """Share of the test images on which student and teacher say the same."""
    largest_file_mib: PositiveFloat
    """Of the classifier file."""
    longest_latency_ms: PositiveFloat
    """Median time of one image on the CPU of the machine that evaluated."""
    largest_regression: Fraction
    """How far the accuracy may lie below that of the standing champion on the same test data."""


class PromoteConfig(Config):
    """The registered model and the gate before its alias champion."""

    model_name: Annotated[Text, Field(max_length=200, pattern=r"^[\w.\- ]+$")]
    """Name in the MLflow model registry."""
    allow_unlabelled: bool
    """Register a student without real test metrics; it becomes challenger, never champion."""
    onnx: Place | None
    """Where to write the student as an ONNX file, too; needs the extra onnx."""
    gate: GateConfig
    """What the champion must reach."""
