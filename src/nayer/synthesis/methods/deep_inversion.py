"""DeepInversion: pixels that match the teacher's statistics (Yin et al., CVPR 2020, arXiv 1912.08795)."""

from typing import Literal

from nayer.synthesis.parts.pixels import PixelConfig, PixelMethod


class DeepInversionConfig(PixelConfig):
    """DeepInversion's synthesis (section 3.2)."""

    method: Literal["deep_inversion"]


class DeepInversion(PixelMethod):
    """Learns pixels from the teacher alone; the student takes part only if `adversarial_weight` is not 0."""

    title = "DeepInversion"
    reference = "arXiv 1912.08795"
    Config = DeepInversionConfig
