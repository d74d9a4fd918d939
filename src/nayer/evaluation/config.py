"""Parameters of the evaluation."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from nayer.core.config import Config, Count


class EvaluateConfig(Config):
    """The evaluation on real test data."""

    batch_size: Count
    """Images of a forward pass."""
    calibration_bins: Annotated[int, Field(ge=1, le=10_000)]
    """Equal bins of confidence for the calibration error."""
    latency_seconds: PositiveFloat
    """Measuring time for each latency."""
    baselines: list[Literal["real", "kd_real", "kd_noise"]]
    """The student's ceiling and floor, trained on request by the student's recipe."""
