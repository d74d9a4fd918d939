"""What a scenario for a teacher without BatchNorm puts in place of its statistics."""

from typing import Any

from nayer.models.classifier import Classifier
from nayer.synthesis.parts.priors import PRIORS, PriorName

# By what they give (docs/results/priors.md), with their weights there; the first needs nothing of a teacher.
STAND_INS: tuple[tuple[PriorName, float], ...] = (("variation", 10.0),)


def stand_in(teacher: Classifier) -> dict[str, Any]:
    """The best prior for a teacher without BatchNorm, as it stands among the parameters of a synthesis."""
    return next(
        {"prior": name, "prior_weight": weight} for name, weight in STAND_INS if not PRIORS[name].missing(teacher)
    )
