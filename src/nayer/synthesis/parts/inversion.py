"""The inversion of a teacher: its loss, and the steps that look for the images of one batch.

Three terms, as NAYER (arXiv 2310.00258, equation of L_G), FastDFKD, CMI and DeepInversion have in common.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from nayer.core.images import to_uint8
from nayer.engine.distributed import average_gradients
from nayer.engine.recording import Recorder
from nayer.models.classifier import Classifier
from nayer.synthesis.method import TOTAL, Context, Method, StudentLoss, SyntheticBatch
from nayer.synthesis.parts.batchnorm import BatchNormStatistics, check_batchnorm, layers_with_statistics
from nayer.synthesis.parts.generator import upsamplings
from nayer.synthesis.parts.losses import adversarial_loss, class_loss
from nayer.synthesis.parts.priors import PRIORS, check_prior
from nayer.synthesis.parts.settings import GeneratorConfig, InversionConfig

Losses = dict[str, Tensor]
Inverting = TypeVar("Inverting", bound=InversionConfig)
PRIOR = {"prior": "prior"}
LOSS_NAMES = {"ce": "class (cross-entropy)", "bn": "BatchNorm statistics", "adversarial": "adversarial"}


class InversionLoss:
    """Class, BatchNorm and adversarial term, with the running statistics that live from batch to batch."""

    def __init__(self, context: Context, config: InversionConfig, competition: StudentLoss = adversarial_loss) -> None:
        self.context, self.config, self.competition = context, config, competition
        self.statistics = BatchNormStatistics(layers_with_statistics(context.teacher), config.bn_momentum)
        self.prior = PRIORS[config.prior](context.teacher)
        self.adversarial = False

    @contextmanager
    def for_one_batch(self, student: Classifier) -> Iterator[None]:
        """Statistics are recorded and the student is frozen inside; on leaving the running statistics advance."""
        with self.statistics.recording(), self.prior.recording(), frozen(student):
            yield
            self.statistics.advance()

    def __call__(self, images: Tensor, labels: Tensor, student: Classifier) -> tuple[Losses, Tensor]:
        """The terms for images (N, C, H, W) in [0, 1] with their weighted sum, and the teacher's logits."""
        config = self.config
        with self.context.autocast():
            views = self.context.augment(images)
            teacher_logits = self.context.teacher(views)
            asked = self.adversarial and config.adversarial_weight
            student_logits = student(views) if asked else None
        ce = class_loss(teacher_logits, labels)
        bn = self.statistics.loss() if config.bn_weight else torch.zeros_like(ce)
        adversarial = (
            torch.zeros_like(ce) if student_logits is None else self.competition(teacher_logits, student_logits)
        )
        total = config.ce_weight * ce + config.bn_weight * bn + config.adversarial_weight * adversarial
        losses = {"ce": ce, "bn": bn, "adversarial": adversarial}
        if config.prior != "none":
            losses["prior"] = self.prior.loss(teacher_logits)
            total = total + config.prior_weight * losses["prior"]
        return {**losses, TOTAL: total}, teacher_logits

    def state_dict(self) -> dict[str, Any]:
        """The running statistics and the phase."""
        return {"running": self.statistics.running, "adversarial": self.adversarial}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        device = self.context.teacher.mean.device
        self.statistics.running = [statistic.to(device) for statistic in state["running"]]
        self.adversarial = state["adversarial"]


class InversionMethod(Method[Inverting]):
    """What the methods have in common whose batches are learnt by this loss, one after the other."""

    loss_names: ClassVar = LOSS_NAMES
    needs_embeddings = False

    def __init__(self, context: Context, config: Inverting) -> None:
        super().__init__(context, config)
        self.loss = InversionLoss(context, config, self.competition)
        self.renew()

    @staticmethod
    def competition(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        """The adversarial term."""
        return adversarial_loss(teacher_logits, student_logits)

    @classmethod
    def terms(cls, config: Inverting) -> Mapping[str, str]:
        """With the prior, if there is one."""
        return {**cls.loss_names, **(PRIOR if config.prior != "none" else {})}

    @classmethod
    def check(cls, config: Inverting, teacher: Classifier) -> list[str]:
        """A generator has sizes that it can make; BatchNorm term and prior need what they look at."""
        if isinstance(config, GeneratorConfig):
            upsamplings(teacher.images.size)
        check_prior(teacher, config.prior)
        return check_batchnorm(teacher, config.bn_weight, config.prior != "none")

    def start_epoch(self, epoch: int) -> None:
        """The adversarial term sets in after the warm-up."""
        self.loss.adversarial = not self.context.schedule.warms_up(epoch)

    @abstractmethod
    def renew(self) -> None:
        """Fresh networks; the running statistics of the BatchNorm term live on."""

    def recover(self) -> None:
        """Fresh networks, and statistics that no failed one is part of."""
        self.loss.statistics.running = []
        self.renew()


def invert(
    make_images: Callable[[], Tensor],
    losses_of: Callable[[Tensor], tuple[Losses, Tensor]],
    labels: Tensor,
    optimiser: torch.optim.Optimizer,
    shared: Iterable[nn.Parameter],
    steps: int,
    recorder: Recorder,
    after_backward: Callable[[], None] | None = None,
) -> SyntheticBatch:
    """So many steps of the optimiser; hands out the images of the step with the lowest total loss.

    `shared` are the weights that all processes have alike; their gradients are averaged. `after_backward` sees the
    gradients before the optimiser uses them. Where the recorder is on, all of these change tensors alone, in place.
    """
    shared = list(shared)

    def step() -> tuple[Losses, Tensor, Tensor]:
        images = make_images()
        losses, teacher_logits = losses_of(images)
        optimiser.zero_grad()
        losses[TOTAL].backward()
        average_gradients(shared)
        if after_backward:
            after_backward()
        optimiser.step()
        return {name: loss.detach() for name, loss in losses.items()}, teacher_logits.detach(), images.detach()

    once = recorder.recorded(step)
    # Both stay on the device: the host never waits inside the loop.
    best_loss = torch.full((), torch.inf, device=labels.device)
    best_images = torch.empty(0)
    for number in range(steps):
        losses, teacher_logits, images = once()
        best_images = images if number == 0 else torch.where(losses[TOTAL] < best_loss, images, best_images)
        best_loss = torch.minimum(best_loss, losses[TOTAL])
    found = {name: loss.clone() for name, loss in losses.items()}
    return SyntheticBatch(to_uint8(best_images.float()), labels, found, teacher_logits.argmax(1))


def adam(weights: Iterable[Any], rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> torch.optim.Adam:
    """The optimiser of one batch, fit to be recorded on a GPU."""
    found = torch.optim.Adam(weights, rate, betas, fused=True)
    for group in found.param_groups:
        group["capturable"] = group["params"][0].is_cuda
    return found


@contextmanager
def frozen(student: Classifier) -> Iterator[None]:
    """The student in evaluation mode and without weight gradients, as it was before on leaving."""
    training, learnt = student.training, [each for each in student.parameters() if each.requires_grad]
    student.eval().requires_grad_(False)
    try:
        yield
    finally:
        student.train(training)
        for each in learnt:
            each.requires_grad_()
