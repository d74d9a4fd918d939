"""Builds the first state of the loop from a plan: all networks on their device, random numbers seeded."""

import copy
from typing import Any

import torch

from nayer.distillation.plan import Plan
from nayer.distillation.state import LoopState
from nayer.engine.compilation import compile_network
from nayer.engine.device import autocast
from nayer.engine.distributed import broadcast_module, seed_each_process
from nayer.engine.recording import Recorder
from nayer.models.classifier import Classifier, freeze
from nayer.student.features import feature_count
from nayer.student.start import new_student
from nayer.student.targets import build_targets
from nayer.student.trainer import StudentTrainer
from nayer.synthesis.memory import MemoryBank
from nayer.synthesis.method import Context, Method


def build(plan: Plan) -> LoopState:
    """Build the loop's first state on the plan's device, from the plan's seed."""
    torch.manual_seed(plan.seed)
    config, images = plan.config, plan.teacher.images
    precision = autocast(plan.device, plan.precision)
    teacher, student = networks(plan)
    features = feature_count(teacher, config.student)
    trainer = StudentTrainer(student, config.student, config.epochs * config.student.steps, precision, features)
    broadcast_module(trainer.networks)
    if plan.compile:
        compile_network(teacher.network)
        compile_network(student.network)
    method = build_method(plan, teacher)
    shape = (images.channels, images.size, images.size)
    memory = MemoryBank(plan.capacity, shape, plan.device, plan.spill, config.student.priority)
    targets = build_targets(teacher, memory, config.augmentation.build(), precision, config.student, features)
    seed_each_process()
    return LoopState(method, targets, trainer, config.leaves, config.leaves_steps, recorder(plan))


def networks(plan: Plan) -> tuple[Classifier, Classifier]:
    """Teacher and student on the plan's device, the student before its first step."""
    # A copy, so that the caller's teacher is not moved, frozen or compiled.
    teacher = freeze(copy.deepcopy(plan.teacher)).to(plan.device).to(memory_format=torch.channels_last)
    return teacher, new_student(teacher, plan.config.student).to(memory_format=torch.channels_last)


def recorder(plan: Plan) -> Recorder:
    """Recorder of steps, which is on where the plan allows it and the device is a GPU."""
    return Recorder(plan.device, wanted=plan.record)


def build_method(plan: Plan, teacher: Classifier, steps: int | None = None) -> Method[Any]:
    """The plan's method for a teacher already on its device; `steps` replaces the configured steps per batch."""
    table = plan.embeddings.table.to(plan.device) if plan.embeddings else None
    augment, precision = plan.config.augmentation.build(), autocast(plan.device, plan.precision)
    context = Context(teacher, table, plan.schedule, augment, precision, plan.compile, recorder(plan))
    config = plan.config.synthesis
    return plan.method(context, config.model_copy(update={"steps": steps}) if steps else config)
