"""Losses of the student as pure functions of logits (N, classes) and features (N, features)."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

# Below this, a teacher's features are taken as constant over all images.
LEAST_VARIANCE = 1e-12


def distillation_loss(teacher_logits: Tensor, student_logits: Tensor, temperature: float) -> Tensor:
    """temperature^2 * KL(T || S) of the softened outputs (Hinton et al., arXiv 1503.02531)."""
    teacher = (teacher_logits.float() / temperature).log_softmax(1)
    student = (student_logits.float() / temperature).log_softmax(1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def feature_loss(teacher_features: Tensor, student_features: Tensor) -> Tensor:
    """Mean squared difference of features centred over the batch, the teacher's scaled to an overall variance of 1.

    The scale of the loss thus does not depend on the teacher: constant student features cost 1.
    """
    teacher, student = (each.float() - each.float().mean(0) for each in (teacher_features, student_features))
    return F.mse_loss(student, teacher * teacher.square().mean().clamp_min(LEAST_VARIANCE).rsqrt())


def with_features(
    loss: Callable[[Tensor, Tensor], Tensor], classes: int, weight: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """Extend a loss of logits to answers (N, classes + features), adding `weight` times the feature loss."""

    def whole(teacher: Tensor, student: Tensor) -> Tensor:
        compared = feature_loss(teacher[:, classes:], student[:, classes:])
        return loss(teacher[:, :classes], student[:, :classes]) + weight * compared

    return whole if weight else loss
