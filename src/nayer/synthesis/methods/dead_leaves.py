"""Dead leaves, procedural pictures (arXiv 2106.05963, section 3), after a few steps towards a teacher's statistics."""

from typing import Any, ClassVar, Literal

from nayer.core.config import NonNegativeCount
from nayer.core.images import to_uint8
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL, Context, Method, SynthesisConfig, SyntheticBatch
from nayer.synthesis.parts.losses import balance_loss
from nayer.synthesis.parts.matching import MatchedLeaves


class DeadLeavesConfig(SynthesisConfig):
    """How many are drawn, and how far they go."""

    method: Literal["dead_leaves"]
    steps: NonNegativeCount = 5
    """Optimiser steps on the pixels of a batch, towards what the teacher's BatchNorm layers know; 0, or a teacher that
    has none, leaves them as they are drawn: the floor of every method that learns its images."""


class DeadLeaves(Method[DeadLeavesConfig]):
    """No generator and no classes: the teacher says what it sees."""

    title = "Dead leaves"
    reference = "arXiv 2106.05963"
    Config = DeadLeavesConfig
    loss_names: ClassVar = {"bn": "BatchNorm statistics", "balance": "balance of the classes seen"}
    needs_embeddings = False

    def __init__(self, context: Context, config: DeadLeavesConfig) -> None:
        super().__init__(context, config)
        self.leaves = MatchedLeaves(context.teacher, context.autocast)

    def step(self, student: Classifier) -> SyntheticBatch:
        """Draw a batch; each picture counts for the class that the teacher takes it for."""
        images, logits, bn = self.leaves.draw(self.config.batch_size, self.config.steps)
        seen = logits.argmax(1)
        return SyntheticBatch(to_uint8(images), seen, {"bn": bn, "balance": balance_loss(logits), TOTAL: bn}, seen)

    def recover(self) -> None:
        """No batch follows from another, so nothing is spoilt."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the pictures follow from the random generator alone."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""
