"""Dead leaves: a teacher's answers to pictures that nothing was learnt for (arXiv 2106.05963, section 3).

The floor of every method that learns its images, and a higher one than noise.
"""

from typing import Any, ClassVar, Literal

from nayer.core.config import Count
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL, Method, SynthesisConfig, SyntheticBatch
from nayer.synthesis.parts.leaves import pictures
from nayer.synthesis.parts.losses import balance_loss


class DeadLeavesConfig(SynthesisConfig):
    """Only how many are drawn."""

    method: Literal["dead_leaves"]
    steps: Count = 1
    """Of an optimiser that there is not; all numbers mean the same."""


class DeadLeaves(Method[DeadLeavesConfig]):
    """No network but the teacher, which says what it sees."""

    title = "Dead leaves"
    reference = "arXiv 2106.05963"
    Config = DeadLeavesConfig
    loss_names: ClassVar = {"balance": "balance of the classes seen"}
    needs_embeddings = False

    def step(self, student: Classifier) -> SyntheticBatch:
        """Draw a batch; each picture counts for the class that the teacher takes it for."""
        images, logits = pictures(self.context, self.config.batch_size)
        balance, seen = balance_loss(logits), logits.argmax(1)
        return SyntheticBatch(images, seen, {"balance": balance, TOTAL: balance}, seen)

    def recover(self) -> None:
        """Nothing is learnt, so nothing is spoilt."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the pictures follow from the random generator alone."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""
