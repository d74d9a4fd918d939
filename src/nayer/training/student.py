"""How a student learns from images, wherever they come from."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from nayer.config import StudentConfig
from nayer.images import Augmentation, to_float
from nayer.models.classifier import Classifier
from nayer.synthesis.losses import distillation_loss

Target = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(views, student logits, labels) -> loss."""


class StudentTrainer:
    """SGD with a cosine over `total_steps` (arXiv 2310.00258, section 4.1); one `step` is one batch."""

    def __init__(
        self,
        student: Classifier,
        config: StudentConfig,
        augment: Augmentation,
        total_steps: int,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self.student = student
        self.augment = augment
        self.autocast = autocast
        self.optimiser = torch.optim.SGD(
            student.network.parameters(),
            config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimiser, total_steps, eta_min=config.final_learning_rate
        )

    def step(self, images: Tensor, labels: Tensor, target: Target) -> tuple[Tensor, Tensor]:
        """One step on uint8 images; returns the loss and the student's logits, both detached."""
        self.student.train()
        views = self.augment(to_float(images))
        with self.autocast():
            logits = self.student(views)
        loss = target(views, logits, labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        return loss.detach(), logits.detach()

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


class TeacherTarget:
    """The teacher's softened answer on the very views that the student saw; remembers how often they agreed."""

    def __init__(
        self, teacher: Classifier, temperature: float, autocast: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        self.teacher, self.temperature, self.autocast = teacher, temperature, autocast
        self.agreement = torch.zeros((), device=teacher.mean.device)

    def __call__(self, views: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """The distillation loss; the labels are not looked at."""
        with torch.no_grad(), self.autocast():
            wanted = self.teacher(views)
        self.agreement = (wanted.argmax(1) == logits.detach().argmax(1)).float().mean()
        return distillation_loss(wanted, logits, self.temperature)
