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
    """Epochs at the start that only make images; the student does not learn yet, and methods with a memory leave out
    their adversarial term."""
    epochs: Count
    """Epochs of distillation after the warm-up."""
    closing_epochs: NonNegativeCount = 0
    """How many of the last `epochs` make no more images; the student goes on learning from those it has."""
    leaves: NonNegativeCount = 0
    """Drawn pictures (dead leaves) added to the memory with each synthetic batch: for a teacher whose synthetic images
    teach little, such as one without BatchNorm."""
    leaves_steps: NonNegativeCount = 5
    """Optimiser steps that move the pixels of the leaves towards the teacher's BatchNorm statistics; without BatchNorm,
    none are taken."""
    memory: Count | None
    """Images that the memory keeps; null keeps all that the schedule makes. A method without a memory always keeps
    those of one batch."""
    memory_sample: Annotated[int, Field(ge=1, le=5000)]
    """Images saved from the memory, balanced by class: the report shows them, and INT8 calibration uses them."""
    probe_images: Annotated[int, Field(ge=1, le=5000)]
    """Images made after the last epoch to compare student and teacher on; the student never learns from them."""
    augmentation: AugmentationConfig
    """Augmentation of synthetic images, during synthesis and when the student learns."""
    synthesis: AnySynthesisConfig
    """The method that makes the images, chosen by `method`, and that method's parameters."""
    student: StudentConfig
    """The student and how it learns."""
