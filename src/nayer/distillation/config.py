"""Parameters of the distillation."""

from typing import Annotated

from pydantic import Field

from nayer.core.config import Config, Count, NonNegativeCount
from nayer.core.images import AugmentationConfig
from nayer.student.config import StudentConfig
from nayer.synthesis.registry import AnySynthesisConfig


class DistillConfig(Config):
    """Data-free distillation."""

    warmup_epochs: NonNegativeCount
    """Epochs that only make images, before the student learns; methods leave out their adversarial term."""
    epochs: Count
    """Epochs of distillation after the warm-up."""
    closing_epochs: NonNegativeCount = 0
    """The last of `epochs`, in which the student learns from all images and no more are made."""
    leaves: NonNegativeCount = 0
    """Procedural pictures, dead leaves, that come into the memory beside each synthetic batch: for a teacher whose own
    images say little, such as one without BatchNorm."""
    leaves_steps: NonNegativeCount = 5
    """Optimiser steps on their pixels, towards what the teacher's BatchNorm layers know; without such, none."""
    memory: Count | None
    """Images kept; null keeps all that the schedule makes, and a method that keeps no memory those of one batch."""
    memory_sample: Annotated[int, Field(ge=1, le=5000)]
    """Images of the memory handed on for a look, balanced by class."""
    probe_images: Annotated[int, Field(ge=1, le=5000)]
    """Images made after the last epoch, which the student never learns from: to compare it with its teacher on."""
    augmentation: AugmentationConfig
    """Of synthetic images, in synthesis and distillation."""
    synthesis: AnySynthesisConfig
    """The method that makes the images, chosen by `method`, and its own parameters."""
    student: StudentConfig
    """The student and how it learns."""
