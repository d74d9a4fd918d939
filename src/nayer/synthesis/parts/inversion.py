"""Inversion of a teacher: the loss, and the optimiser steps that find the images of one batch.

The three terms of the loss are common to NAYER (arXiv 2310.00258, equation of L_G), FastDFKD, CMI and DeepInversion.
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
    """Class, BatchNorm and adversarial terms and the prior, with the running statistics kept across batches."""

    def __init__(self, context: Context, config: InversionConfig, competition: StudentLoss = adversarial_loss) -> None:
        self.context, self.config, self.competition = context, config, competition
        self.statistics = BatchNormStatistics(layers_with_statistics(context.teacher), config.bn_momentum)
        self.prior = PRIORS[config.prior](context.teacher)
        self.adversarial = False

    @contextmanager
    def for_one_batch(self, student: Classifier) -> Iterator[None]:
        """Record statistics and freeze the student inside the block, and advance the running statistics at its end."""
        with self.statistics.recording(), self.prior.recording(), frozen(student):
            yield
            self.statistics.advance()

    def __call__(self, images: Tensor, labels: Tensor, student: Classifier) -> tuple[Losses, Tensor]:
        """Loss terms for images (N, C, H, W) in [0, 1] with their weighted sum, and the teacher's logits."""
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
        """The running statistics and the phase (whether the adversarial term is on)."""
        return {"running": self.statistics.running, "adversarial": self.adversarial}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        device = self.context.teacher.mean.device
        self.statistics.running = [statistic.to(device) for statistic in state["running"]]
        self.adversarial = state["adversarial"]


class InversionMethod(Method[Inverting]):
    """Base of the methods that learn one batch after the other by InversionLoss."""

    loss_names: ClassVar = LOSS_NAMES
    needs_embeddings = False

    def __init__(self, context: Context, config: Inverting) -> None:
        super().__init__(context, config)
        self.loss = InversionLoss(context, config, self.competition)
        self.renew()

    @staticmethod
    def competition(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
        """The adversarial term, from logits (N, classes) of teacher and student."""
        return adversarial_loss(teacher_logits, student_logits)

    @classmethod
    def terms(cls, config: Inverting) -> Mapping[str, str]:
        """Loss terms by name, including the prior if there is one."""
        return {**cls.loss_names, **(PRIOR if config.prior != "none" else {})}

    @classmethod
    def check(cls, config: Inverting, teacher: Classifier) -> list[str]:
        """Refuse image sizes that a generator cannot make, and a teacher without the layers that the terms need."""
        if isinstance(config, GeneratorConfig):
            upsamplings(teacher.images.size)
        check_prior(teacher, config.prior)
        return check_batchnorm(teacher, config.bn_weight, config.prior != "none")

    def start_epoch(self, epoch: int) -> None:
        """Switch the adversarial term on after the warm-up."""
        self.loss.adversarial = not self.context.schedule.warms_up(epoch)

    @abstractmethod
    def renew(self) -> None:
        """Set up fresh networks, keeping the running statistics of the BatchNorm term."""

    def recover(self) -> None:
        """Set up fresh networks and discard the running statistics, which the failed ones contributed to."""
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
    """Take `steps` optimiser steps; returns the images of the step with the lowest total loss.

    `shared` are the weights that are equal in all processes; their gradients are averaged. `after_backward` is called
    when gradients are ready, before the optimiser uses them. Where the recorder is on, these callables may change
    nothing but tensors, in place. Labels aside, everything else in the batch is of the last step.
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
    """Adam for one batch, set up so that its steps can be recorded as a CUDA graph on a GPU."""
    found = torch.optim.Adam(weights, rate, betas, fused=True)
    for group in found.param_groups:
        group["capturable"] = group["params"][0].is_cuda
    return found


@contextmanager
def frozen(student: Classifier) -> Iterator[None]:
    """Keep the student in evaluation mode without weight gradients inside the block, and restore it at the end."""
    training, learnt = student.training, [each for each in student.parameters() if each.requires_grad]
    student.eval().requires_grad_(False)
    try:
        yield
    finally:
        student.train(training)
        for each in learnt:
            each.requires_grad_()
