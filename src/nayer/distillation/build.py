"""From a plan to the first state of the loop: every network on its device, seeded."""

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
    """Everything on its device, seeded."""
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
    """Teacher and student on the plan's device, the student as it is before its first step."""
    # A copy: the caller's is neither moved, nor frozen, nor compiled.
    teacher = freeze(copy.deepcopy(plan.teacher)).to(plan.device).to(memory_format=torch.channels_last)
    return teacher, new_student(teacher, plan.config.student).to(memory_format=torch.channels_last)


def recorder(plan: Plan) -> Recorder:
    """Of steps, on a GPU that holds all they need."""
    return Recorder(plan.device, wanted=plan.record)


def build_method(plan: Plan, teacher: Classifier, steps: int | None = None) -> Method[Any]:
    """The plan's method on a teacher that is on its device, with its own number of steps per batch or another."""
    table = plan.embeddings.table.to(plan.device) if plan.embeddings else None
    augment, precision = plan.config.augmentation.build(), autocast(plan.device, plan.precision)
    context = Context(teacher, table, plan.schedule, augment, precision, plan.compile, recorder(plan))
    config = plan.config.synthesis
    return plan.method(context, config.model_copy(update={"steps": steps}) if steps else config)
