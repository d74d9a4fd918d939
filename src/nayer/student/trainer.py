"""How a student learns from views of images, wherever they come from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import cos, pi
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from nayer.engine.device import Autocast
from nayer.engine.distributed import average_gradients
from nayer.models.classifier import Classifier
from nayer.student.config import StudentConfig

Loss = Callable[[Tensor], Tensor]
"""Student logits (N, classes) -> scalar."""


def rate_schedule(optimiser: Optimizer, config: StudentConfig, total_steps: int) -> LRScheduler:
    """A cosine over all steps, or over those that a linear rise at the beginning leaves (one cycle)."""
    if not config.rise:
        return CosineAnnealingLR(optimiser, total_steps, eta_min=config.final_learning_rate)
    top, end = max(1, round(config.rise * total_steps)), config.final_learning_rate / config.learning_rate

    def factor(step: int) -> float:
        if step < top:
            return (step + 1) / top
        return end + (1 - end) * (1 + cos(pi * (step - top) / max(1, total_steps - top))) / 2

    return LambdaLR(optimiser, factor)


class StudentTrainer:
    """SGD with a cosine over `total_steps` (arXiv 2310.00258, section 4.1); one `step` is one batch."""

    def __init__(
        self,
        student: Classifier,
        config: StudentConfig,
        total_steps: int,
        autocast: Autocast,
    ) -> None:
        self.student = student
        self.autocast = autocast
        self.optimiser = torch.optim.SGD(
            student.network.parameters(),
            config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.schedule = rate_schedule(self.optimiser, config, total_steps)
        self.rate = torch.tensor(self.optimiser.param_groups[0]["lr"], device=student.mean.device)

    def step(self, views: Tensor, loss_of: Loss) -> tuple[Tensor, Tensor]:
        """One step on views (N, C, H, W) in [0, 1]; returns the loss and the student's logits, both detached.

        It can be recorded; `advance` comes after each.
        """
        self.student.train()
        with self.autocast():
            logits = self.student(views)
        loss = loss_of(logits)
        self.optimiser.zero_grad()
        loss.backward()
        average_gradients(self.student.parameters())
        with self._rate_on_device():
            self.optimiser.step()
        return loss.detach(), logits.detach()

    def advance(self) -> None:
        """To the learning rate of the next step."""
        self.schedule.step()
        self._tell_rate()

    def _tell_rate(self) -> None:
        self.rate.fill_(self.optimiser.param_groups[0]["lr"])

    @contextmanager
    def _rate_on_device(self) -> Iterator[None]:
        """On a GPU the optimiser reads its rate there, where a recorded step finds that of now."""
        (group,) = self.optimiser.param_groups
        rate = group["lr"]
        group["lr"] = self.rate if self.rate.is_cuda else rate
        try:
            yield
        finally:  # a recording that fails does so in here
            group["lr"] = rate

    def scale_rate(self, factor: float) -> None:
        """From here on the learning rate is `factor` times what it would be; a cosine alone keeps its end."""
        for group in self.optimiser.param_groups:
            group["lr"] *= factor
            group["initial_lr"] *= factor
        self.schedule.base_lrs = [rate * factor for rate in self.schedule.base_lrs]
        self._tell_rate()

    def state_dict(self) -> dict[str, Any]:
        """Student, optimiser and schedule."""
        return {
            "student": self.student.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.student.network.load_state_dict(state["student"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self._tell_rate()
