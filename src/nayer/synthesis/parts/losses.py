"""Loss terms of synthesis as pure functions. Logits are (N, classes); every term is a scalar."""

from collections.abc import Sequence
from math import log

import torch
import torch.nn.functional as F
from torch import Tensor

from nayer.synthesis.method import TOTAL


def class_loss(teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """CE(T(x), y): the teacher should predict the class an image was made for (NAYER, equation of L_G, first term)."""
    return F.cross_entropy(teacher_logits.float(), labels)


def divergences(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """KL(T || S) of each image (N,), at temperature 1."""
    teacher, student = teacher_logits.float().log_softmax(1), student_logits.float().log_softmax(1)
    return F.kl_div(student, teacher, reduction="none", log_target=True).sum(1)


def divergence_loss(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """Mean KL(T || S) over all images, at temperature 1 (ZSKT, section 3.1)."""
    return divergences(teacher_logits, student_logits).mean()


def jensen_shannon(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """(KL(T || M) + KL(S || M)) / 2, where M is the mean of T and S; between 0 and ln 2 (ADI, equation 8)."""
    teacher, student = teacher_logits.float().log_softmax(1), student_logits.float().log_softmax(1)
    middle = torch.logaddexp(teacher, student) - log(2)
    of_teacher, of_student = (F.kl_div(middle, p, reduction="batchmean", log_target=True) for p in (teacher, student))
    return (of_teacher + of_student) / 2


def adversarial_loss(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """-mean([argmax T = argmax S] KL(T || S)) at temperature 1: seek images on which the student still differs.

    Images on which the two already disagree in class contribute nothing; the mean is over all N.
    """
    same_class = teacher_logits.argmax(1) == student_logits.argmax(1)
    return -(divergences(teacher_logits, student_logits) * same_class).mean()


def statistics_distance(
    means: list[Tensor], variances: list[Tensor], target_means: list[Tensor], target_variances: list[Tensor]
) -> Tensor:
    """Sum over layers of ||mean - target|| + ||variance - target||: plain L2 norms, no layer weights."""
    pairs = [*zip(means, target_means, strict=True), *zip(variances, target_variances, strict=True)]
    return torch.stack([torch.linalg.vector_norm(found - wanted) for found, wanted in pairs]).sum()


def activation_loss(features: Tensor) -> Tensor:
    """-mean |f| of the teacher's features (N, D), which are large on images like its data (DAFL, section 3.2)."""
    return -features.float().abs().mean()


def balance_loss(teacher_logits: Tensor) -> Tensor:
    """Sum of p ln p for the mean prediction p over the batch: lowest where all classes are equally frequent (DAFL)."""
    mean = teacher_logits.float().softmax(1).mean(0)
    negative_entropy: Tensor = -torch.special.entr(mean).sum()
    return negative_entropy


def total_variation(pixels: Tensor) -> Tensor:
    """Sum of the L2 norms of differences between neighbouring pixels (N, C, H, W) in 4 directions (DeepInversion)."""
    right, down = pixels[..., 1:] - pixels[..., :-1], pixels[..., 1:, :] - pixels[..., :-1, :]
    falling, rising = pixels[..., 1:, 1:] - pixels[..., :-1, :-1], pixels[..., 1:, :-1] - pixels[..., :-1, 1:]
    return torch.stack([torch.linalg.vector_norm(each) for each in (right, down, falling, rising)]).sum()


def contrastive_loss(parts: Tensor, wholes: Tensor, new: int, temperature: float) -> Tensor:
    """Cross-entropy of matching each part (N, D) to its own whole (N, D) by cosine similarity (CMI, section 3.2).

    The first `new` rows are of this batch, the others of earlier ones; the means of the two groups are added. No
    gradient flows through the wholes.
    """
    likeness = F.normalize(parts) @ F.normalize(wholes).detach().T / temperature
    found = F.cross_entropy(likeness, torch.arange(len(parts), device=parts.device), reduction="none")
    return found[:new].mean() + (found[new:].mean() if len(found) > new else 0)


def weighted(terms: dict[str, Tensor], weights: Sequence[float]) -> dict[str, Tensor]:
    """The terms together with their weighted sum as TOTAL."""
    total = torch.stack([weight * term for weight, term in zip(weights, terms.values(), strict=True)]).sum()
    return {**terms, TOTAL: total}
