"""Parameters of the evaluation."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from nayer.core.config import Config, Count


class EvaluateConfig(Config):
    """The evaluation on real test data or, without any, on synthetic images kept from the student (probes)."""

    batch_size: Count
    """Images per forward pass."""
    calibration_bins: Annotated[int, Field(ge=1, le=10_000)]
    """Number of equally wide confidence bins for the expected calibration error."""
    latency_seconds: PositiveFloat
    """Seconds of measuring for each latency."""
    baselines: list[Literal["real", "kd_real", "kd_noise"]]
    """Students to train for comparison, by the same recipe: on real labels (`real`), on the teacher's answers to real
    images (`kd_real`, the ceiling), or on its answers to uniform noise (`kd_noise`, the floor); [] trains none."""
