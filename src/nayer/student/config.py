"""Parameters of the student."""

from typing import Annotated, Literal

from pydantic import Field

from nayer.core.config import MAX_VALUE, Architecture, BatchSize, Config, Count, Fraction, Momentum, Rate, Weight

Start = Literal["random", "teacher", "reconstructed"]


class StudentConfig(Config):
    """The student and how it learns from synthetic images."""

    architecture: Architecture
    """Network of the student, named as the teacher's: wrn-D-W, resnet-18, resnet-34, vgg-11-bn, torchvision:NAME,
    timm:NAME, your own, or half: before any of these for half the channels in every layer."""
    start: Start
    """Weights before the first step: `random`, fresh ones; `teacher`, copied from the teacher's matching layers;
    `reconstructed`, copied from the teacher's most informative channels, then fitted layer by layer to its outputs on
    drawn pictures (dead leaves)."""
    batch_size: BatchSize
    """Images per student step."""
    steps: Count
    """SGD steps per epoch."""
    cached_targets: Count | None
    """Views of each image that are cached with the teacher's logits on them; null draws a new view and runs the teacher
    each time, as always with a method that keeps no memory."""
    refreshed_targets: Fraction
    """Share of each batch whose cached views and logits are renewed; ignored if all possible views are cached."""
    priority: Weight
    """Exponent of an image's divergence when last seen, in its chance of being drawn (SSD-KD); 0 draws all alike."""
    learning_rate: Rate
    """Learning rate at the start of the cosine schedule."""
    rise: Fraction
    """Share of all steps in which the learning rate first rises linearly (one cycle); 0 starts with the cosine."""
    final_learning_rate: Weight
    """Learning rate at the end of the cosine schedule, which spans the epochs after the warm-up."""
    momentum: Momentum
    """Momentum of SGD."""
    weight_decay: Weight
    """Weight decay of SGD."""
    temperature: Annotated[float, Field(ge=1e-3, le=MAX_VALUE)]
    """Temperature of the distillation loss; the methods dafl, dfq and zskt always use 1."""
    feature_weight: Weight
    """Weight of the distance between the features of student and teacher before their last layer; a linear layer, which
    learns along and is discarded, projects the student's (FitNets, arXiv 1412.6550). 0 compares logits alone."""
