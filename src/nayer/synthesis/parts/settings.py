"""Parameters that several methods share; each method states its own published values as defaults."""

from typing import Annotated

from pydantic import Field

from nayer.core.config import Count, Momentum, Rate, Weight
from nayer.synthesis.method import SynthesisConfig
from nayer.synthesis.parts.priors import PriorName

# Strict parameters refuse a list for a pair, and YAML knows lists only.
Betas = Annotated[tuple[Momentum, Momentum], Field(strict=False)]

Share = Annotated[float, Field(gt=0, le=1)]


class GeneratorConfig(SynthesisConfig):
    """Of a method with a generator, trained by Adam."""

    latent: Count
    """Inputs of the generator."""
    generator_width: Count
    """Channels of the generator's last hidden layer (ngf)."""
    learning_rate: Rate
    """Of the generator's Adam."""
    betas: Betas
    """Of the generator's Adam."""


class InversionConfig(SynthesisConfig):
    """Of a method that inverts the teacher: class, BatchNorm and adversarial term."""

    ce_weight: Weight
    """Of the class term."""
    bn_weight: Weight
    """Of the BatchNorm term; 0 admits a teacher without BatchNorm2d."""
    adversarial_weight: Weight
    """Of the adversarial term, which is off during the warm-up."""
    bn_momentum: Share
    """Share of the current batch in the compared statistics; the rest is the running mean."""
    prior: PriorName = "none"
    """For a teacher without BatchNorm: strong features of balanced classes (activation), or inputs of LayerNorm like a
    Gaussian's (layer_norm)."""
    prior_weight: Weight = 1.0
    """Of that term."""
