"""Terms of synthesis as pure functions. Logits are (N, classes); every term is a scalar."""

import torch
import torch.nn.functional as F
from torch import Tensor


def class_loss(teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """CE(T(x), y): the teacher should see the class that an image was made for (NAYER, equation of L_G, first term)."""
    return F.cross_entropy(teacher_logits.float(), labels)


def adversarial_loss(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """-mean([argmax T = argmax S] KL(T || S)) at temperature 1: seek images where the student still differs.

    Images on which the two already disagree in class are left alone; the mean is over all N.
    """
    teacher, student = teacher_logits.float(), student_logits.float()
    divergence = F.kl_div(student.log_softmax(1), teacher.log_softmax(1), reduction="none", log_target=True).sum(1)
    same_class = teacher.argmax(1) == student.argmax(1)
    return -(divergence * same_class).mean()


def statistics_distance(
    means: list[Tensor], variances: list[Tensor], target_means: list[Tensor], target_variances: list[Tensor]
) -> Tensor:
    """sum over layers of ||mean - target|| + ||variance - target||: plain L2 norms, no layer weights."""
    pairs = [*zip(means, target_means, strict=True), *zip(variances, target_variances, strict=True)]
    return torch.stack([torch.linalg.vector_norm(found - wanted) for found, wanted in pairs]).sum()


def activation_loss(features: Tensor) -> Tensor:
    """-mean |f| of the teacher's features (N, D): images like those it was trained on excite it (DAFL, section 3.2)."""
    return -features.float().abs().mean()


def balance_loss(teacher_logits: Tensor) -> Tensor:
    """sum p ln p of the mean prediction p over the batch: least where all classes come equally often (DAFL)."""
    mean = teacher_logits.float().softmax(1).mean(0)
    negative_entropy: Tensor = -torch.special.entr(mean).sum()
    return negative_entropy
