"""Tells from a loss whether a training has diverged."""

import math

# Largest ratio of a loss to its first value, that of the run's first batch or first epoch.
RUNAWAY = 20.0


def has_diverged(loss: float, first: float | None) -> bool:
    """Whether a loss is not finite, or far above its first value."""
    return not math.isfinite(loss) or (first is not None and loss > RUNAWAY * max(first, 1.0))
