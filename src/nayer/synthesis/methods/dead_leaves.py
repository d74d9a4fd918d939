"""Dead leaves: drawn pictures (arXiv 2106.05963, section 3), matched to a teacher's statistics in a few steps."""

from typing import Any, ClassVar, Literal

from nayer.core.config import NonNegativeCount
from nayer.core.images import to_uint8
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL, Context, Method, SynthesisConfig, SyntheticBatch
from nayer.synthesis.parts.losses import balance_loss
from nayer.synthesis.parts.matching import MatchedLeaves


class DeadLeavesConfig(SynthesisConfig):
    """Drawn pictures in place of learnt images, optionally matched to the teacher's BatchNorm statistics."""

    method: Literal["dead_leaves"]
    steps: NonNegativeCount = 5
    """Optimiser steps on the pixels of a batch, towards the teacher's BatchNorm statistics. With 0 steps, or a teacher
    without BatchNorm, pictures stay as drawn: the floor for every method that learns its images."""


class DeadLeaves(Method[DeadLeavesConfig]):
    """Draws pictures without a generator or target classes; the teacher's prediction becomes the label."""

    title = "Dead leaves"
    reference = "arXiv 2106.05963"
    Config = DeadLeavesConfig
    loss_names: ClassVar = {"bn": "BatchNorm statistics", "balance": "balance of the classes seen"}
    needs_embeddings = False
    draws = True

    def __init__(self, context: Context, config: DeadLeavesConfig) -> None:
        super().__init__(context, config)
        self.leaves = MatchedLeaves(context.teacher, context.autocast)

    def step(self, student: Classifier) -> SyntheticBatch:
        """Draw a batch, labelled with the classes that the teacher predicts."""
        images, logits, bn = self.leaves.draw(self.config.batch_size, self.config.steps)
        seen = logits.argmax(1)
        return SyntheticBatch(to_uint8(images), seen, {"bn": bn, "balance": balance_loss(logits), TOTAL: bn}, seen)

    def recover(self) -> None:
        """Do nothing: batches are independent, so there is no state to repair."""

    def state_dict(self) -> dict[str, Any]:
        """Empty: pictures depend on the random number generator alone."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
