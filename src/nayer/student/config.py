"""Parameters of the student."""

from typing import Annotated, Literal

from pydantic import Field

from nayer.core.config import MAX_VALUE, Architecture, BatchSize, Config, Count, Fraction, Momentum, Rate, Weight

Start = Literal["random", "teacher", "reconstructed"]


class StudentConfig(Config):
    """The student and how it learns from synthetic images."""

    architecture: Architecture
    """As of the teacher: wrn-D-W, resnet-18, resnet-34, vgg-11-bn, torchvision:NAME, timm:NAME, your own, or
    half: and any of these, with half the channels of every layer."""
    start: Start
    """Weights before the first step: `random`, fresh ones; `teacher`, copied from the teacher's matching layers;
    `reconstructed`, copied from its most telling channels, then fitted layer by layer to its outputs on procedural
    pictures."""
    batch_size: BatchSize
    """Images of a step."""
    steps: Count
    """SGD steps per epoch."""
    cached_targets: Count | None
    """Views kept of each image with the teacher's logits on them; null draws a new one and asks each time,
    and so does a method that keeps no memory."""
    refreshed_targets: Fraction
    """Share of a batch whose cached views are drawn anew, with new logits; none if all views there are are cached."""
    priority: Weight
    """Power of an image's divergence when last seen, by which it is drawn (SSD-KD); 0 draws all equally often."""
    learning_rate: Rate
    """Start of the cosine."""
    rise: Fraction
    """Share of all steps in which the rate rises to where the cosine starts (one cycle); 0 starts there."""
    final_learning_rate: Weight
    """End of the cosine over the epochs after the warm-up."""
    momentum: Momentum
    """Of SGD."""
    weight_decay: Weight
    """Of SGD."""
    temperature: Annotated[float, Field(ge=1e-3, le=MAX_VALUE)]
    """Of the softened outputs that student and teacher are compared by; ZSKT compares them as they are."""
    feature_weight: Weight
    """Of the distance between the features that student and teacher make their logits of, the student's seen through a
    linear layer that learns with it and is thrown away (FitNets, arXiv 1412.6550); 0 compares logits alone."""
