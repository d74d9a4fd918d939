"""Supervised training of a classifier on labelled images, as for the teacher; nothing here is data-free."""

import copy
import time
from typing import Any

import torch
import torch.nn.functional as F

from nayer.core.errors import Diverged
from nayer.core.images import to_float
from nayer.engine.config import RuntimeConfig
from nayer.engine.device import autocast, resolve_device, resolve_precision
from nayer.engine.divergence import has_diverged
from nayer.engine.progress import Reporter
from nayer.engine.resume import ResumePoint
from nayer.engine.state_file import random_state, set_random_state
from nayer.models.classifier import Classifier
from nayer.models.inference import Labelled, accuracy
from nayer.teachers.config import TrainingConfig

Row = dict[str, float]
COLUMNS = ["epoch", "loss", "train_accuracy", "validation_accuracy", "learning_rate"]


class SupervisedState:
    """All that a resumed training needs: weights, optimiser, schedule, counters, and the order of this epoch."""

    def __init__(self, classifier: Classifier, config: TrainingConfig, steps_per_epoch: int) -> None:
        self.classifier = classifier
        self.optimiser = torch.optim.SGD(
            classifier.network.parameters(),
            config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=config.momentum > 0,
            fused=True,
        )
        total = config.epochs * steps_per_epoch + 1
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            config.learning_rate,
            total_steps=total,
            # Torch divides by zero if the rise ends at the first step; without a rise, that step is at the peak.
            pct_start=config.warmup if config.warmup * total != 1 else 0.0,
            cycle_momentum=False,
        )
        self.steps_per_epoch = steps_per_epoch
        self.epoch = self.step = 0
        self.order = torch.empty(0, dtype=torch.long)
        self.sums = torch.zeros(2, device=classifier.mean.device)
        self.history: list[Row] = []
        self.seconds = 0.0

    def check(self) -> None:
        """Stop a training that has diverged.

        Raises:
            Diverged: the loss or the weights are not finite, or the loss has grown far above its first value.
        """
        loss = self.sums[0].item() / (self.step or self.steps_per_epoch)
        first = self.history[0]["loss"] if self.history else None
        finite = all(value.isfinite().all() for value in self.classifier.network.state_dict().values())
        if not finite or has_diverged(loss, first):
            wrong = f"the loss is {loss:.3g}" if finite else "the weights are not finite"
            raise Diverged(f"{wrong} in epoch {self.epoch + 1}; lower teacher.training.learning_rate")

    def state_dict(self) -> dict[str, Any]:
        """The state as plain tensors, numbers and containers; raise Diverged rather than return a diverged one."""
        self.check()
        return {
            "network": self.classifier.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "order": self.order,
            "sums": self.sums,
            "history": self.history,
            "seconds": self.seconds,
            "random": random_state(self.sums.device),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        state = copy.deepcopy(state)  # it was read from a mapped file, which would stay mapped
        self.classifier.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.step, self.history = state["epoch"], state["step"], state["history"]
        self.order, self.seconds = state["order"].to(self.sums.device), state["seconds"]
        self.sums = state["sums"].to(self.sums.device)
        set_random_state(state["random"], self.sums.device)


def train(
    classifier: Classifier,
    data: Labelled,
    validation: Labelled,
    config: TrainingConfig,
    runtime: RuntimeConfig,
    resume: ResumePoint,
    reporter: Reporter,
) -> tuple[list[Row], float]:
    """Fit the classifier in place; returns the history by epoch and the seconds spent, resumed parts included.

    The validation accuracy is reported, never selected on: the weights of the last epoch stay.

    Raises:
        Interrupted: stopped by a signal; the state is kept.
        Stopped: the training has diverged or its state cannot be written; the last state stays.
    """
    device = resolve_device(runtime)
    precision = autocast(device, resolve_precision(runtime, device))
    classifier.to(device).to(memory_format=torch.channels_last).train()
    images, labels = data.images.to(device), data.labels.to(device)
    batch_size = min(config.batch_size, len(labels))
    steps = len(labels) // batch_size
    augment = config.augmentation.build()
    state = SupervisedState(classifier, config, steps)
    if resume.restore(state):
        reporter.say(resume.resumed_in(state.epoch, config.epochs))
    reporter.begin(resume.stage, config.epochs, state.epoch + state.step / steps)
    clock = time.monotonic() - state.seconds

    with resume.stopping_safely():
        while state.epoch < config.epochs:
            if state.step == 0:
                state.order = torch.randperm(len(labels)).to(device)
                state.sums.zero_()
            while state.step < steps:
                chosen = state.order[state.step * batch_size :][:batch_size]
                with precision():
                    logits = classifier(augment(to_float(images[chosen])))
                loss = F.cross_entropy(logits.float(), labels[chosen], label_smoothing=config.label_smoothing)
                state.optimiser.zero_grad()
                loss.backward()
                state.optimiser.step()
                state.schedule.step()
                hits = (logits.argmax(1) == labels[chosen]).sum()
                state.sums += torch.stack([loss.detach(), hits / batch_size])
                state.step += 1
                state.seconds = time.monotonic() - clock
                reporter.advance(state.epoch + state.step / steps, _last(state))
                resume.keep(state.state_dict)
            state.check()
            mean_loss, train_accuracy = (state.sums / steps).tolist()
            row = {
                "epoch": state.epoch + 1,
                "loss": mean_loss,
                "train_accuracy": train_accuracy,
                "validation_accuracy": accuracy(classifier, validation, device),
                "learning_rate": state.schedule.get_last_lr()[0],
            }
            classifier.train()
            state.history.append(row)
            reporter.epoch(resume.stage, state.epoch + 1, row)
            state.epoch, state.step = state.epoch + 1, 0
        resume.keep(state.state_dict, finished=True)
    classifier.eval()
    return state.history, time.monotonic() - clock


def _last(state: SupervisedState) -> str:
    """The latest figures, for the progress line."""
    if not state.history:
        return "epoch 1"
    row = state.history[-1]
    return f"epoch {row['epoch']:.0f}: loss {row['loss']:.3f}, validation {row['validation_accuracy']:.1%}"
