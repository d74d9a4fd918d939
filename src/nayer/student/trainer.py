"""Training of the student on views of images, whatever their source."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import cos, pi
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from nayer.engine.device import Autocast
from nayer.engine.distributed import average_gradients
from nayer.models.classifier import Classifier
from nayer.student.config import StudentConfig
from nayer.student.features import Answers

Loss = Callable[[Tensor], Tensor]
"""Student answers (N, classes), or (N, classes + features) where features are compared, -> scalar."""


def rate_schedule(optimiser: Optimizer, config: StudentConfig, total_steps: int) -> LRScheduler:
    """Cosine schedule over all steps, or over those that remain after a linear rise (one cycle)."""
    if not config.rise:
        return CosineAnnealingLR(optimiser, total_steps, eta_min=config.final_learning_rate)
    top, end = max(1, round(config.rise * total_steps)), config.final_learning_rate / config.learning_rate

    def factor(step: int) -> float:
        if step < top:
            return (step + 1) / top
        return end + (1 - end) * (1 + cos(pi * (step - top) / max(1, total_steps - top))) / 2

    return LambdaLR(optimiser, factor)


class StudentTrainer:
    """SGD with a cosine schedule over `total_steps` (arXiv 2310.00258, section 4.1); one `step` is one batch.

    With `features` above 0, the number of the teacher's, a linear layer from the student's features to these learns,
    too.
    """

    def __init__(
        self,
        student: Classifier,
        config: StudentConfig,
        total_steps: int,
        autocast: Autocast,
        features: int = 0,
    ) -> None:
        self.student = student
        self.autocast = autocast
        self.answer: Callable[[Tensor], Tensor] = student
        self.networks = nn.ModuleList([student.network])
        if features:
            projection = nn.Linear(Answers(student).width, features, bias=False, device=student.mean.device)
            self.answer = Answers(student, projection)
            self.networks.append(projection)
        self.optimiser = torch.optim.SGD(
            self.networks.parameters(),
            config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.schedule = rate_schedule(self.optimiser, config, total_steps)
        self.rate = torch.tensor(self.optimiser.param_groups[0]["lr"], device=student.mean.device)

    def step(self, views: Tensor, loss_of: Loss) -> tuple[Tensor, Tensor]:
        """Take one step on views (N, C, H, W) in [0, 1]; returns the loss and the student's answers, both detached.

        A step can be recorded as a CUDA graph; call `advance` after each.
        """
        self.student.train()
        with self.autocast():
            answers = self.answer(views)
        loss = loss_of(answers)
        self.optimiser.zero_grad()
        loss.backward()
        average_gradients(self.networks.parameters())
        with self._rate_on_device():
            self.optimiser.step()
        return loss.detach(), answers.detach()

    def advance(self) -> None:
        """Move on to the learning rate of the next step."""
        self.schedule.step()
        self._tell_rate()

    def _tell_rate(self) -> None:
        self.rate.fill_(self.optimiser.param_groups[0]["lr"])

    @contextmanager
    def _rate_on_device(self) -> Iterator[None]:
        """On a GPU, let the optimiser read its rate from a tensor, so that a recorded step uses the current one."""
        (group,) = self.optimiser.param_groups
        rate = group["lr"]
        group["lr"] = self.rate if self.rate.is_cuda else rate
        try:
            yield
        finally:  # also when recording fails inside the block
            group["lr"] = rate

    def scale_rate(self, factor: float) -> None:
        """Multiply the learning rate by `factor` from here on; a cosine without a rise keeps its final rate."""
        for group in self.optimiser.param_groups:
            group["lr"] *= factor
            group["initial_lr"] *= factor
        self.schedule.base_lrs = [rate * factor for rate in self.schedule.base_lrs]
        self._tell_rate()

    def state_dict(self) -> dict[str, Any]:
        """Student, projection of its features if there is one, optimiser and schedule."""
        return {
            "networks": self.networks.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.networks.load_state_dict(state["networks"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self._tell_rate()
