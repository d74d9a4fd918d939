"""Parameters of the model registry and its gate."""

from typing import Annotated

from pydantic import Field, PositiveFloat

from nayer.core.config import Config, Fraction, Place, Text


class GateConfig(Config):
    """Limits that a student must meet to become champion; a value equal to its limit passes."""

    least_top1: Fraction
    """Lowest top-1 accuracy allowed, on real test data."""
    least_agreement: Fraction
    """Lowest agreement allowed: the share of test images on which student and teacher predict the same class."""
    largest_file_mib: PositiveFloat
    """Largest size allowed for the classifier file, in MiB."""
    longest_latency_ms: PositiveFloat
    """Longest median time allowed for one image, in milliseconds, on the CPU of the machine that ran the evaluation."""
    largest_regression: Fraction
    """Largest drop in accuracy allowed against the current champion on the same test data, as a fraction."""


class PromoteConfig(Config):
    """Registration in the MLflow model registry, and the gate that a student must pass to become champion."""

    model_name: Annotated[Text, Field(max_length=200, pattern=r"^[\w.\- ]+$")]
    """Name of the registered model in the MLflow model registry."""
    allow_unlabelled: bool
    """Whether to register a student that has no metrics on real test data; it becomes challenger, never champion."""
    onnx: Place | None
    """Path to which promotion also exports the student as an ONNX file, or null for none; needs the extra onnx."""
    gate: GateConfig
    """Limits that a student must meet to become champion."""
