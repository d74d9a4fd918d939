"""When a loss says that a training went astray."""

import math

# Of a loss to what it was at first: in the run's first batch, or in its first epoch.
RUNAWAY = 20.0


def has_diverged(loss: float, first: float | None) -> bool:
    """Whether a loss is no number, or far above what it was at first."""
    return not math.isfinite(loss) or (first is not None and loss > RUNAWAY * max(first, 1.0))
