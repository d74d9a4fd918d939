"""What the distillation loop starts from: checked inputs, everything on its device, one object that holds the state."""

import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nayer.config import DistillConfig, RuntimeConfig, StudentConfig
from nayer.errors import InputError
from nayer.images import Augmentation
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.architectures import check_image_size
from nayer.models.classifier import Classifier, freeze
from nayer.models.compilation import compile_network
from nayer.models.generator import upsamplings
from nayer.ranks import draw_apart, size, take_from_first
from nayer.synthesis.batchnorm import layers_with_statistics
from nayer.synthesis.losses import distillation_loss
from nayer.synthesis.memory import MemoryBank
from nayer.synthesis.nayer import Nayer
from nayer.synthesis.synthesizer import Schedule, Synthesizer, SyntheticBatch
from nayer.training.device import autocast, compiles, resolve_device
from nayer.training.health import Health
from nayer.training.resume import random_state, set_random_state
from nayer.training.student import StudentTrainer
from nayer.training.views import FreshViews, KeptViews, Views

Row = dict[str, Any]
SYNTHESIS_LOSSES = ("ce", "bn", "adversarial", "synthesis_loss")
# BatchNorm has no statistics of a single image.
LEAST_SHARE = 2
STUDENT_FIGURES = ("kd_loss", "agreement")


@dataclass
class LoopState:
    """Everything that changes during the loop, so that a resumed run equals an uninterrupted one."""

    synthesizer: Synthesizer
    views: Views
    trainer: StudentTrainer
    epoch: int = 0
    batch: int = 0
    """Synthetic batches made in this epoch."""
    step: int = 0
    """Student steps done in this epoch."""
    begun: bool = False
    """Whether this epoch has; its first batch may have failed."""

    def __post_init__(self) -> None:
        self.memory = self.views.memory
        device = self.memory.labels.device
        self.synthesis_sums = torch.zeros(len(SYNTHESIS_LOSSES), device=device)
        self.student_sums = torch.zeros(len(STUDENT_FIGURES), device=device)
        self.answered = torch.zeros(len(self.trainer.student.class_names), device=device)
        self.health = Health()
        self.history: list[Row] = []
        self.held_out: list[tuple[Tensor, Tensor]] = []
        self.seconds = {"synthesis": 0.0, "student": 0.0}

    def begin_epoch(self) -> None:
        """Sums of nothing, and a student to go back to."""
        self.begun = True
        self.synthesizer.start_epoch(self.epoch)
        for sums in (self.synthesis_sums, self.student_sums, self.answered):
            sums.zero_()
        self.health.remember(self.trainer)

    def take_in(self, made: SyntheticBatch) -> None:
        """A synthetic batch that is of use."""
        self.views.add(made.images, made.labels)
        self.synthesis_sums += torch.stack([made.losses[name] for name in SYNTHESIS_LOSSES])
        self.answered.scatter_add_(0, made.answers, torch.ones_like(made.answers, dtype=self.answered.dtype))
        self.batch += 1

    def learn(self, config: StudentConfig) -> Tensor:
        """One student step: its STUDENT_FIGURES, as a tensor on the device."""
        views, answers = self.views.draw(config.batch_size)
        loss, logits = self.trainer.step(views, partial(distillation_loss, answers, temperature=config.temperature))
        return torch.stack([loss, (answers.argmax(1) == logits.argmax(1)).float().mean()])

    def state_dict(self) -> dict[str, Any]:
        """Plain tensors, numbers and containers."""
        return {
            "synthesizer": self.synthesizer.state_dict(),
            "memory": self.memory.state_dict(),
            "views": self.views.state_dict(),
            "trainer": self.trainer.state_dict(),
            "counters": [self.epoch, self.batch, self.step, self.begun],
            "sums": [self.synthesis_sums, self.student_sums, self.answered],
            "health": vars(self.health),
            "history": self.history,
            "held_out": self.held_out,
            "seconds": self.seconds,
            "random": random_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.memory.load_state_dict(state["memory"])
        self.views.load_state_dict(state["views"])
        # Read from a mapped file, which would stay on disk for as long as anything here is a part of it.
        state = copy.deepcopy({name: state[name] for name in state if name not in ("memory", "views")})
        self.synthesizer.load_state_dict(state["synthesizer"])
        self.trainer.load_state_dict(state["trainer"])
        self.epoch, self.batch, self.step, self.begun = state["counters"]
        device = self.memory.labels.device
        self.synthesis_sums, self.student_sums, self.answered = (each.to(device) for each in state["sums"])
        self.health = Health(**state["health"])
        self.history, self.seconds = state["history"], state["seconds"]
        self.held_out = [(images.to(device), labels.to(device)) for images, labels in state["held_out"]]
        set_random_state(state["random"])


def share_of(config: DistillConfig, processes: int) -> DistillConfig:
    """What one of so many processes does: its part of every batch and of the memory.

    Raises:
        InputError: a batch or the memory cannot be divided among them.
    """
    shared = {
        "distill.synthesis.batch_size": config.synthesis.batch_size,
        "distill.student.batch_size": config.student.batch_size,
        **({"distill.memory": config.memory} if config.memory else {}),
    }
    for key, value in shared.items():
        if value % processes or value // processes < LEAST_SHARE:
            raise InputError(
                f"{key}: {value} images cannot be divided among {processes} processes, at least {LEAST_SHARE} each; "
                "take a multiple, or change runtime.processes."
            )
    synthesis = config.synthesis.model_copy(update={"batch_size": config.synthesis.batch_size // processes})
    student = config.student.model_copy(update={"batch_size": config.student.batch_size // processes})
    memory = config.memory and config.memory // processes
    return config.model_copy(update={"synthesis": synthesis, "student": student, "memory": memory})


def capacity(config: DistillConfig, schedule: Schedule) -> int:
    """Images that the memory holds: no more than are made."""
    return min(config.memory or schedule.images, schedule.images)


def bank_gib(teacher: Classifier, config: DistillConfig, schedule: Schedule) -> tuple[float, float]:
    """GiB that their pixels take, and their kept views with the answers."""
    augment = Augmentation(config.augmentation.padding, config.augmentation.flip)
    images, views = capacity(config, schedule) / 2**30, min(config.student.kept_views or 0, augment.crop_count)
    pixels = teacher.images.channels * teacher.images.size**2
    return images * pixels, images * views * (3 + 2 * len(teacher.class_names))


def spill_folder(pixels: float, views: float, runtime: RuntimeConfig) -> Path | None:
    """Where the images of a bank too large for memory lie; None for one that fits. Both figures in GiB.

    Raises:
        InputError: several processes, whose states are gathered in the memory of the first.
    """
    gib = pixels + views
    if gib <= runtime.memory_gib:
        return None
    if size() > 1:
        raise InputError(
            f"runtime.memory_gib: {runtime.memory_gib:g}, but the images of each of the {size()} processes take "
            f"{gib:.1f} GiB, and only one process alone keeps them on disk; raise it, or lower distill.memory."
        )
    return Path(runtime.resume_folder)


def check(teacher: Classifier, embeddings: LabelEmbeddings, config: DistillConfig) -> list[str]:
    """Refuse what cannot work before any training; returns warnings.

    Raises:
        InputError: table, teacher, student and weights do not go together.
    """
    rows, classes = len(embeddings.class_names), len(teacher.class_names)
    if rows != classes:
        raise InputError(
            f"label embeddings: the table has {rows} classes, the teacher {classes}; "
            "run the lte pipeline with the teacher's class names."
        )
    upsamplings(teacher.images.size)
    check_image_size(config.student.architecture, teacher.images.size, "distill.student.architecture")
    Classifier.build(
        config.student.architecture, teacher.class_names, teacher.images, key="distill.student.architecture"
    )
    warnings = []
    if not check_batchnorm(teacher, config):
        warnings.append("the teacher has no BatchNorm2d; going on without that term, expect a weaker student")
    if tuple(embeddings.class_names) != tuple(teacher.class_names):
        warnings.append("class names of table and teacher differ; row i is taken for the teacher's class i")
    return warnings


def check_batchnorm(teacher: Classifier, config: DistillConfig) -> bool:
    """Whether the teacher has the layers that the BatchNorm term needs.

    Raises:
        InputError: it has none, and the term is asked for.
    """
    if layers_with_statistics(teacher):
        return True
    if config.synthesis.bn_weight:
        raise InputError(
            f"distill.synthesis.bn_weight: {config.synthesis.bn_weight:g}, but '{teacher.architecture}' "
            "has no BatchNorm2d with statistics to compare with; set it to 0 to go on without that term."
        )
    return False


def settled(runtime: RuntimeConfig, teacher: Classifier, config: DistillConfig) -> RuntimeConfig:
    """With `compile` as true or false, whichever suits this distillation."""
    schedule = Schedule.of(config)
    pixels = schedule.images * schedule.steps * teacher.images.size**2
    return runtime.model_copy(update={"compile": compiles(runtime, resolve_device(runtime), pixels)})


def build(
    teacher: Classifier, embeddings: LabelEmbeddings, config: DistillConfig, runtime: RuntimeConfig, seed: int
) -> LoopState:
    """Everything on its device, seeded: the first state of the loop. `runtime` is a settled one."""
    torch.manual_seed(seed)
    device = resolve_device(runtime)
    precision = autocast(runtime, device)
    freeze(teacher).to(device).to(memory_format=torch.channels_last)
    compiled = runtime.compile is True
    if compiled:
        teacher = copy.deepcopy(teacher)  # the caller's is not to be compiled for what else it is asked
        compile_network(teacher.network)
    student = Classifier.build(config.student.architecture, teacher.class_names, teacher.images)
    student.to(device).to(memory_format=torch.channels_last)
    take_from_first(student)
    if compiled:
        compile_network(student.network)
    synthesizer = Nayer(teacher, embeddings.table, config, precision, compiled)
    schedule, images = synthesizer.schedule, teacher.images
    shape = (images.channels, images.size, images.size)
    spill = spill_folder(*bank_gib(teacher, config, schedule), runtime)
    memory = MemoryBank(capacity(config, schedule), shape, device, spill)
    augment = Augmentation(config.augmentation.padding, config.augmentation.flip)
    if count := config.student.kept_views:
        renewed = config.student.renewed_views
        views: Views = KeptViews(teacher, memory, augment, precision, count, renewed)
    else:
        views = FreshViews(teacher, memory, augment, precision)
    trainer = StudentTrainer(student, config.student, config.epochs * config.student.steps, precision)
    draw_apart()
    return LoopState(synthesizer, views, trainer)
