"""Everything that changes during the loop, so that a resumed run equals an uninterrupted one."""

import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nayer.core.images import to_uint8
from nayer.distillation.health import Health
from nayer.engine.recording import Recorded, Recorder
from nayer.engine.state_file import random_state, set_random_state
from nayer.student.config import StudentConfig
from nayer.student.losses import distillation_loss, with_features
from nayer.student.targets import Targets
from nayer.student.trainer import StudentTrainer
from nayer.synthesis.method import TOTAL, Method, SyntheticBatch
from nayer.synthesis.parts.losses import divergences
from nayer.synthesis.parts.matching import MatchedLeaves

Row = dict[str, Any]
STUDENT_FIGURES = ("kd_loss", "agreement")


@dataclass(eq=False)
class LoopState:
    """Method, memory with targets, student, and where the loop is."""

    method: Method[Any]
    targets: Targets
    trainer: StudentTrainer
    leaves: int = 0
    """Procedural pictures beside each synthetic batch."""
    leaves_steps: int = 0
    """Steps of these towards the teacher's statistics."""
    recorder: Recorder = field(default_factory=Recorder)
    """Of student steps on a GPU."""
    epoch: int = 0
    turn: int = 0
    """Turns of this epoch that are over, each some synthetic batches and then some student steps."""
    batch: int = 0
    """Synthetic batches made in this turn."""
    step: int = 0
    """Student steps done in this turn."""
    begun: bool = False
    """Whether this epoch has; its first batch may have failed."""

    def __post_init__(self) -> None:
        self.memory = self.targets.memory
        context = self.method.context
        self.pictures = MatchedLeaves(context.teacher, context.autocast) if self.leaves else None
        self.loss_names = (*self.method.terms(self.method.config), TOTAL)
        device = self.memory.labels.device
        self.synthesis_sums = torch.zeros(len(self.loss_names), device=device)
        self.student_sums = torch.zeros(len(STUDENT_FIGURES), device=device)
        self.prediction_counts = torch.zeros(len(self.trainer.student.class_names), device=device)
        self.health = Health()
        self.history: list[Row] = []
        self.probes: list[tuple[Tensor, Tensor]] = []
        self.seconds = {"synthesis": 0.0, "student": 0.0}
        self._recorded: Recorded[Tensor] | None = None

    def begin_epoch(self) -> None:
        """Put the sums of the epoch to zero, and remember the student as it is now, to go back to."""
        self.begun = True
        if self.method.context.schedule.batches_in(self.epoch):
            self.method.start_epoch(self.epoch)
        for sums in (self.synthesis_sums, self.student_sums, self.prediction_counts):
            sums.zero_()
        self.health.remember(self.trainer)

    def learn_again(self) -> None:
        """Back to the epoch's first student step; of a method that alternates, to its first batch."""
        self._recorded = None  # of tensors that were put back
        self.student_sums.zero_()
        self.turn = self.step = 0
        if self.method.alternates:
            self.batch = 0
            self.synthesis_sums.zero_()
            self.prediction_counts.zero_()
        else:
            self.batch = self.method.context.schedule.batches_in(self.epoch)

    def end_epoch(self, row: Row) -> None:
        """The epoch is over, and this is its row of the history."""
        self.history.append(row)
        self.epoch, self.turn, self.batch, self.step, self.begun = self.epoch + 1, 0, 0, 0, False

    def add_batch(self, made: SyntheticBatch) -> None:
        """A synthetic batch that is of use, and the pictures that come with it."""
        self.targets.add(made.images, made.labels)
        if self.pictures:
            images, logits, _ = self.pictures.draw(self.leaves, self.leaves_steps)
            self.targets.add(to_uint8(images), logits.argmax(1))
        self.synthesis_sums += torch.stack([made.losses[name] for name in self.loss_names])
        ones = torch.ones_like(made.predictions, dtype=self.prediction_counts.dtype)
        self.prediction_counts.scatter_add_(0, made.predictions, ones)
        self.batch += 1

    def learn(self, config: StudentConfig) -> Tensor:
        """One student step: its STUDENT_FIGURES, as a tensor on the device that the next step writes over."""
        before = self.targets.slots
        self.targets.deal(config.batch_size)
        if self.targets.slots is not before:
            self._recorded = None
        self._recorded = self._recorded or self.recorder.recorded(partial(self._step, config))
        figures = self._recorded()
        self.trainer.advance()
        return figures

    def _step(self, config: StudentConfig) -> Tensor:
        """All of a student step that is done on the device."""
        classes = len(self.trainer.student.class_names)
        loss = self.method.student_loss or partial(distillation_loss, temperature=config.temperature)
        loss = with_features(loss, classes, config.feature_weight)
        with self.method.learning(self.trainer.student):
            views, teacher_answers = self.targets.views()
            value, answers = self.trainer.step(views, partial(loss, teacher_answers))
        teacher_logits, logits = teacher_answers[:, :classes], answers[:, :classes]
        if config.priority:
            self.memory.weigh(self.targets.slots, divergences(teacher_logits, logits))
        return torch.stack([value, (teacher_logits.argmax(1) == logits.argmax(1)).float().mean()])

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors, numbers and containers."""
        return {
            "method": self.method.state_dict(),
            "memory": self.memory.state_dict(),
            "targets": self.targets.state_dict(),
            "trainer": self.trainer.state_dict(),
            "counters": [self.epoch, self.turn, self.batch, self.step, self.begun],
            "sums": [self.synthesis_sums, self.student_sums, self.prediction_counts],
            "health": vars(self.health),
            "history": self.history,
            "probes": self.probes,
            "seconds": self.seconds,
            "random": random_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._recorded = None  # of other tensors
        self.memory.load_state_dict(state["memory"])
        self.targets.load_state_dict(state["targets"])
        # Read from a mapped file, which would stay on disk for as long as anything here is a part of it.
        state = copy.deepcopy({name: state[name] for name in state if name not in ("memory", "targets")})
        self.method.load_state_dict(state["method"])
        self.trainer.load_state_dict(state["trainer"])
        self.epoch, self.turn, self.batch, self.step, self.begun = state["counters"]
        device = self.memory.labels.device
        self.synthesis_sums, self.student_sums, self.prediction_counts = (each.to(device) for each in state["sums"])
        self.health = Health(**state["health"])
        self.history, self.seconds = state["history"], state["seconds"]
        self.probes = [(images.to(device), labels.to(device)) for images, labels in state["probes"]]
        set_random_state(state["random"])
