"""What a student learns by, as pure functions of logits (N, classes)."""

import torch.nn.functional as F
from torch import Tensor


def distillation_loss(teacher_logits: Tensor, student_logits: Tensor, temperature: float) -> Tensor:
    """temperature^2 * KL(T || S) of the softened outputs (Hinton et al., arXiv 1503.02531)."""
    teacher = (teacher_logits.float() / temperature).log_softmax(1)
    student = (student_logits.float() / temperature).log_softmax(1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2
