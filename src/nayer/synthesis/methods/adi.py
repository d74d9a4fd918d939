"""ADI: DeepInversion that also competes with the student (Yin et al., CVPR 2020, arXiv 1912.08795)."""

from typing import Literal

from torch import Tensor

from nayer.core.config import Weight
from nayer.synthesis.parts.losses import jensen_shannon
from nayer.synthesis.parts.pixels import PixelConfig, PixelMethod

COMPETITION_TEMPERATURE = 3.0


class AdiConfig(PixelConfig):
    """ADI's synthesis (section 3.3); the competition has the weight that CMI's authors compare it with."""

    method: Literal["adi"]
    adversarial_weight: Weight = 1.0


class Adi(PixelMethod):
    """Learns pixels on which the student's outputs differ from the teacher's."""

    title = "ADI"
    reference = "arXiv 1912.08795"
    Config = AdiConfig

    @staticmethod
    def competition(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        """1 - JS(T, S) of the outputs softened by COMPETITION_TEMPERATURE (equation 9)."""
        return 1 - jensen_shannon(teacher_logits / COMPETITION_TEMPERATURE, student_logits / COMPETITION_TEMPERATURE)
