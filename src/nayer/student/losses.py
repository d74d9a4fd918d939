"""What a student learns by, as pure functions of logits (N, classes) and features (N, features)."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

# Under it, a teacher's features are the same for all images.
LEAST_VARIANCE = 1e-12


def distillation_loss(teacher_logits: Tensor, student_logits: Tensor, temperature: float) -> Tensor:
    """temperature^2 * KL(T || S) of the softened outputs (Hinton et al., arXiv 1503.02531)."""
    teacher = (teacher_logits.float() / temperature).log_softmax(1)
    student = (student_logits.float() / temperature).log_softmax(1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def feature_loss(teacher_features: Tensor, student_features: Tensor) -> Tensor:
    """Mean square of the difference, both about their means in the batch, the teacher's brought to a variance of 1.

    So what the student has to show is of one size, whatever its teacher's features are: to show nothing costs 1.
    """
    teacher, student = (each.float() - each.float().mean(0) for each in (teacher_features, student_features))
    return F.mse_loss(student, teacher * teacher.square().mean().clamp_min(LEAST_VARIANCE).rsqrt())


def with_features(
    loss: Callable[[Tensor, Tensor], Tensor], classes: int, weight: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """A loss of logits, of answers (N, classes + features) that hold features behind these."""

    def whole(teacher: Tensor, student: Tensor) -> Tensor:
        compared = feature_loss(teacher[:, classes:], student[:, classes:])
        return loss(teacher[:, :classes], student[:, :classes]) + weight * compared

    return whole if weight else loss
