"""DeepInversion: pixels that excite the teacher as its data did (Yin et al., CVPR 2020, arXiv 1912.08795)."""

from typing import Literal

from nayer.synthesis.parts.pixels import PixelConfig, PixelMethod


class DeepInversionConfig(PixelConfig):
    """DeepInversion's synthesis (section 3.2)."""

    method: Literal["deep_inversion"]


class DeepInversion(PixelMethod):
    """The student is not asked, unless `adversarial_weight` says so."""

    title = "DeepInversion"
    reference = "arXiv 1912.08795"
    Config = DeepInversionConfig
