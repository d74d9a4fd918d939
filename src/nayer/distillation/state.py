"""Everything that changes during the loop, saved and restored so that a resumed run equals an uninterrupted one."""

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
    """State of the loop: the method, the memory with its targets, the student, and the position in the schedule."""

    method: Method[Any]
    targets: Targets
    trainer: StudentTrainer
    leaves: int = 0
    """Leaves added to the memory with each synthetic batch."""
    leaves_steps: int = 0
    """Optimiser steps that move the leaves towards the teacher's BatchNorm statistics."""
    recorder: Recorder = field(default_factory=Recorder)
    """Recorder of student steps, on a GPU."""
    epoch: int = 0
    turn: int = 0
    """Finished turns of this epoch; a turn is some synthetic batches followed by some student steps."""
    batch: int = 0
    """Synthetic batches made in this turn."""
    step: int = 0
    """Student steps done in this turn."""
    begun: bool = False
    """Whether this epoch has begun; the counters do not tell, as its first batch may have failed."""

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
        """Reset the epoch's sums, and remember the student as it is now, to go back to if it fails."""
        self.begun = True
        if self.method.context.schedule.batches_in(self.epoch):
            self.method.start_epoch(self.epoch)
        for sums in (self.synthesis_sums, self.student_sums, self.prediction_counts):
            sums.zero_()
        self.health.remember(self.trainer)

    def learn_again(self) -> None:
        """Go back to the epoch's first student step or, for a method that alternates, to its first batch."""
        self._recorded = None  # it refers to tensors that have been replaced
        self.student_sums.zero_()
        self.turn = self.step = 0
        if self.method.alternates:
            self.batch = 0
            self.synthesis_sums.zero_()
            self.prediction_counts.zero_()
        else:
            self.batch = self.method.context.schedule.batches_in(self.epoch)

    def end_epoch(self, row: Row) -> None:
        """Add the finished epoch's row to the history, and go to the next epoch."""
        self.history.append(row)
        self.epoch, self.turn, self.batch, self.step, self.begun = self.epoch + 1, 0, 0, 0, False

    def add_batch(self, made: SyntheticBatch) -> None:
        """Add a usable synthetic batch to the memory, and the leaves that go with it."""
        self.targets.add(made.images, made.labels)
        if self.pictures:
            images, logits, _ = self.pictures.draw(self.leaves, self.leaves_steps)
            self.targets.add(to_uint8(images), logits.argmax(1), synthetic=False)
        self.synthesis_sums += torch.stack([made.losses[name] for name in self.loss_names])
        ones = torch.ones_like(made.predictions, dtype=self.prediction_counts.dtype)
        self.prediction_counts.scatter_add_(0, made.predictions, ones)
        self.batch += 1

    def learn(self, config: StudentConfig) -> Tensor:
        """Take a student step; returns its STUDENT_FIGURES in a tensor on the device, which the next one overwrites."""
        before = self.targets.slots
        self.targets.deal(config.batch_size)
        if self.targets.slots is not before:
            self._recorded = None
        self._recorded = self._recorded or self.recorder.recorded(partial(self._step, config))
        figures = self._recorded()
        self.trainer.advance()
        return figures

    def _step(self, config: StudentConfig) -> Tensor:
        """The part of a student step that runs on the device, so that it can be recorded."""
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
        """The whole state as plain tensors, numbers and containers."""
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
            "random": random_state(self.memory.labels.device),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._recorded = None  # it refers to the old tensors
        self.memory.load_state_dict(state["memory"])
        self.targets.load_state_dict(state["targets"])
        # A copy: the file is memory-mapped, and would take up disk space as long as any tensor still points into it.
        state = copy.deepcopy({name: state[name] for name in state if name not in ("memory", "targets")})
        self.method.load_state_dict(state["method"])
        self.trainer.load_state_dict(state["trainer"])
        self.epoch, self.turn, self.batch, self.step, self.begun = state["counters"]
        device = self.memory.labels.device
        self.synthesis_sums, self.student_sums, self.prediction_counts = (each.to(device) for each in state["sums"])
        self.health = Health(**state["health"])
        self.history, self.seconds = state["history"], state["seconds"]
        self.probes = [(images.to(device), labels.to(device)) for images, labels in state["probes"]]
        set_random_state(state["random"], device)
