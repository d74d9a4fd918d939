"""Parameters that several methods share; each method states its own published values as defaults."""

from typing import Annotated

from pydantic import Field

from nayer.core.config import Count, Momentum, Rate, Weight
from nayer.synthesis.method import SynthesisConfig
from nayer.synthesis.parts.priors import PriorName

# Strict parameters refuse a list in place of a tuple, and YAML has only lists.
Betas = Annotated[tuple[Momentum, Momentum], Field(strict=False)]

Share = Annotated[float, Field(gt=0, le=1)]


class GeneratorConfig(SynthesisConfig):
    """Parameters of a method with a generator, trained by Adam."""

    latent: Count
    """Inputs of the generator."""
    generator_width: Count
    """Channels of the generator's last hidden layer (ngf)."""
    learning_rate: Rate
    """Learning rate of the generator's Adam."""
    betas: Betas
    """Betas of the generator's Adam."""


class InversionConfig(SynthesisConfig):
    """Parameters of a method that inverts the teacher: class, BatchNorm and adversarial terms, and a prior."""

    ce_weight: Weight
    """Weight of the class term: cross-entropy of the teacher's predictions and the wanted classes."""
    bn_weight: Weight
    """Weight of the BatchNorm term; 0 admits a teacher without BatchNorm2d."""
    adversarial_weight: Weight
    """Weight of the adversarial term, which is off during the warm-up."""
    bn_momentum: Share
    """Share of the current batch in the statistics of the BatchNorm term; the rest is their running mean."""
    prior: PriorName = "none"
    """Term in place of the BatchNorm term, for a teacher without BatchNorm: large features and balanced classes
    (activation), or normalised inputs of LayerNorm with mean 0 and variance 1 per channel (layer_norm)."""
    prior_weight: Weight = 1.0
    """Weight of the prior."""
