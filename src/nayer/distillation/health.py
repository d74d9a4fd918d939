"""Detects failures of a distillation that raise no error, reports them within an epoch, and recovers by fixed rules.

A useless synthetic batch is dropped and a fresh generator takes over; the same happens after an epoch whose images the
teacher assigns to a single class. A student whose loss diverges or whose weights are not finite is put back to where
the epoch began, at half the learning rate. A failure that comes again after MAX_FAILURES recoveries in a row stops the
run; the last good state stays.
"""

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import torch

from nayer.core.errors import Diverged
from nayer.core.images import to_float
from nayer.engine import distributed
from nayer.engine.divergence import has_diverged
from nayer.student.trainer import StudentTrainer
from nayer.synthesis.method import TOTAL, SyntheticBatch

MAX_FAILURES = 3
# Standard deviation within a batch, averaged over pixels, on the [0, 1] scale; generators that learn have 0.05 to 0.4.
MIN_SPREAD = 0.01
ONE_CLASS = 0.99
# Fewest images of an epoch from which its classes are judged.
MIN_IMAGES = 20
ELSEWHERE = "another process's"
GENERATOR_KEYS = "distill.synthesis.learning_rate or its weights"
STUDENT_KEYS = "distill.student.learning_rate"


@dataclass
class Health:
    """What the checks remember between batches and epochs."""

    first_loss: float | None = None
    first_kd_loss: float | None = None
    failures: dict[str, int] = field(default_factory=dict)
    """Number of failures in a row, by what failed (generator, predictions, student)."""
    good: dict[str, Any] = field(default_factory=dict)
    """State of the student's trainer at the start of the epoch."""

    def remember(self, trainer: StudentTrainer) -> None:
        """Keep the trainer's state at the start of an epoch, for the student to go back to."""
        self.good = copy.deepcopy(trainer.state_dict())

    def check_batch(self, made: SyntheticBatch) -> str | None:
        """What is wrong with a synthetic batch, or None; every process is told if the batch of any of them failed."""
        spread = to_float(made.images).std(0).mean()
        loss, spread = torch.stack([made.losses[TOTAL].float(), spread]).tolist()
        if self.first_loss is None and math.isfinite(loss):
            self.first_loss = loss
        wrong = has_diverged(loss, self.first_loss) and f"the generator's loss is {loss:.3g}"
        if not wrong and spread < MIN_SPREAD:
            wrong = "the generator's images are all alike"
        (anywhere,) = distributed.any_process(bool(wrong))
        return self._count("generator", wrong or f"{ELSEWHERE} generator failed", GENERATOR_KEYS, anywhere)

    def check_predictions(self, counts: list[float]) -> str | None:
        """What is wrong if the teacher assigns an epoch's images to one class, or None; `counts` is images by class."""
        if sum(counts) < MIN_IMAGES:
            return None
        share = max(counts) / sum(counts)
        told = f"the teacher puts {share:.0%} of the new images in one class"
        return self._count("predictions", told, GENERATOR_KEYS, share > ONE_CLASS)

    def check_student(self, kd_loss: float, trainer: StudentTrainer) -> str | None:
        """What is wrong with the student after an epoch, or None; a failed student is put back, at half the rate."""
        if self.first_kd_loss is None and math.isfinite(kd_loss):
            self.first_kd_loss = kd_loss
        wrong = has_diverged(kd_loss, self.first_kd_loss) and f"the student's loss is {kd_loss:.3g}"
        if not wrong and not all(value.isfinite().all() for value in trainer.student.state_dict().values()):
            wrong = "the student's weights are not finite"
        (anywhere,) = distributed.any_process(bool(wrong))  # each process has BatchNorm statistics of its own
        told = self._count("student", wrong or f"{ELSEWHERE} student failed", STUDENT_KEYS, anywhere)
        if told:
            trainer.load_state_dict(copy.deepcopy(self.good))
            trainer.scale_rate(0.5)
            self.remember(trainer)
        return told

    def _count(self, what: str, told: str, keys: str, failed: bool) -> str | None:
        """Count failures in a row; returns `told` if this is one.

        Raises:
            Diverged: there are more than MAX_FAILURES.
        """
        self.failures[what] = self.failures.get(what, 0) + 1 if failed else 0
        if self.failures[what] > MAX_FAILURES:
            raise Diverged(f"{told}, for the {MAX_FAILURES + 1}th time in a row; lower {keys}, or check the teacher")
        return told if failed else None
