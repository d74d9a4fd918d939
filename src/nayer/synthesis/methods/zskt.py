"""ZSKT: adversarial images, and a student that also matches the teacher's attention maps (arXiv 1905.09768)."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from nayer.core.config import Count, Rate, Weight
from nayer.core.errors import InputError
from nayer.models.classifier import Classifier
from nayer.synthesis.method import Context
from nayer.synthesis.parts.alternation import AlternatingMethod
from nayer.synthesis.parts.batchnorm import keeping_statistics, layers_with_statistics
from nayer.synthesis.parts.features import LayerInputs, attention_map
from nayer.synthesis.parts.inversion import frozen
from nayer.synthesis.parts.losses import divergence_loss, weighted
from nayer.synthesis.parts.settings import Betas, GeneratorConfig


class ZsktConfig(GeneratorConfig):
    """ZSKT's synthesis (section 3); the defaults are the published ones."""

    method: Literal["zskt"]
    steps: Count = 1
    latent: Count = 100
    generator_width: Count = 64
    learning_rate: Rate = 1e-3
    betas: Betas = (0.9, 0.999)
    attention_weight: Weight = 250.0
    """Weight of the student's attention transfer (beta); 0 admits a student without layers of its teacher's sizes."""


class Zskt(AlternatingMethod[ZsktConfig]):
    """The generator maximises KL(T || S) at temperature 1, which the student minimises."""

    title = "ZSKT"
    reference = "arXiv 1905.09768"
    Config = ZsktConfig
    loss_names: ClassVar = {"adversarial": "adversarial"}
    alternates = 10

    def __init__(self, context: Context, config: ZsktConfig) -> None:
        super().__init__(context, config)
        self.teacher_maps = LayerInputs(layers_with_statistics(context.teacher), attention_map)

    def watching(self, student: Classifier) -> AbstractContextManager[Any]:
        """Freeze the student, which is evaluated but never changed."""
        return frozen(student)

    def losses(self, images: Tensor, student: Classifier) -> tuple[dict[str, Tensor], Tensor]:
        """The adversarial term -KL(T || S), at temperature 1."""
        with self.context.autocast():
            views = self.context.augment(images)
            logits, student_logits = self.context.teacher(views), student(views)
        return weighted({"adversarial": -divergence_loss(logits, student_logits)}, (1.0,)), logits

    @contextmanager
    def learning(self, student: Classifier) -> Iterator[None]:
        """Record the attention maps of teacher and student during a student step."""
        self.student_maps = LayerInputs(keeping_statistics(student), attention_map)
        with self.teacher_maps.recording(), self.student_maps.recording():
            yield

    def student_loss(self, teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        """KL(T || S) plus, for each size that both have, the mean squared difference of normalised attention maps.

        The published code averages the terms of KL over images and classes; here they are summed over classes. The
        attention term is multiplied by the number of classes, so that the published weight keeps its meaning.

        Raises:
            InputError: the weight is not 0, and student and teacher have no attention maps of the same size.
        """
        loss, weight = super().student_loss(teacher_logits, student_logits), self.config.attention_weight
        if not weight:
            return loss
        teacher, student = (last_by_size(each) for each in (self.teacher_maps, self.student_maps))
        if not teacher.keys() & student.keys():
            raise InputError(
                f"distill.synthesis.attention_weight: {weight:g}, but no BatchNorm2d of the student matches one of "
                "its teacher's in image size; set it to 0 to go on without that term."
            )
        distances = [attention_distance(teacher[size], student[size]) for size in teacher if size in student]
        return loss + weight * teacher_logits.shape[1] * torch.stack(distances).sum()


def last_by_size(maps: LayerInputs) -> dict[tuple[int, ...], Tensor]:
    """The last layer's map for each size (H, W): in a residual network, one map per group of blocks."""
    return {tuple(each.shape[1:]): each for each in maps.found.values() if each.ndim}


def attention_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean squared difference of attention maps (N, H, W), each normalised to length 1."""
    return F.mse_loss(F.normalize(student.flatten(1)), F.normalize(teacher.flatten(1)))
