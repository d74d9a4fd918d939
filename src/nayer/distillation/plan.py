"""All that a distillation needs to know before it starts, resolved and checked once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nayer.core.errors import InputError
from nayer.core.tensors import tensors_digest
from nayer.distillation.config import DistillConfig
from nayer.engine import distributed
from nayer.engine.config import RuntimeConfig
from nayer.engine.device import Precision, resolve_compile, resolve_device, resolve_precision
from nayer.engine.fingerprint import code_digest
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models import architectures
from nayer.models.classifier import Classifier
from nayer.student.features import feature_count
from nayer.student.start import STUDENT_KEY, blank_student
from nayer.synthesis import registry
from nayer.synthesis.method import Method, Schedule

# BatchNorm has no statistics of a single image.
MIN_SHARE = 2


@dataclass(frozen=True, eq=False)
class Plan:
    """One distillation by this process, alone or as one of several: build, estimate and loop read this alone."""

    teacher: Classifier
    """The caller's; it is not changed."""
    embeddings: LabelEmbeddings | None
    """None if the method needs none."""
    config: DistillConfig
    """With this process's share of every batch and of the memory."""
    seed: int
    method: type[Method[Any]]
    schedule: Schedule
    device: torch.device
    precision: Precision
    compile: bool
    compile_or_fail: bool
    """Whether compiling is asked for, so that a machine that cannot is refused."""
    record: bool
    """Whether a GPU may record its steps: one process alone, with all images on it."""
    capacity: int
    """Images that the memory holds."""
    image_gib: float
    """What their pixels take."""
    target_gib: float
    """What their cached targets take."""
    spill: Path | None
    """Where the images lie if they are too large for memory."""
    resume_folder: Path
    warnings: tuple[str, ...]
    provenance: Mapping[str, Any]
    """What the student's file says about where it came from."""
    fingerprint: Mapping[str, Any]
    """What a kept state must agree with to go on."""


def pixels_of(schedule: Schedule, teacher: Classifier) -> float:
    """How many the search for a schedule's images goes through: how long it is, whatever the machine."""
    return schedule.images * schedule.steps * teacher.images.size**2


def plan(
    teacher: Classifier,
    embeddings: LabelEmbeddings | None,
    config: DistillConfig,
    runtime: RuntimeConfig,
    seed: int,
) -> Plan:
    """Check the inputs against each other and resolve what `auto`, null and the number of processes mean.

    Raises:
        InputError: table, teacher, student, method and machine do not go together.
    """
    method = registry.method_of(config.synthesis)
    shard = shard_config(config, distributed.size())
    schedule = schedule_of(shard)
    embeddings = embeddings if method.needs_embeddings else None
    warnings = [*check_embeddings(method, embeddings, teacher), *method.check(config.synthesis, teacher)]
    warnings += check_student_batch(config)
    architectures.check_image_size(config.student.architecture, teacher.images.size, STUDENT_KEY)
    blank_student(teacher, config.student)
    device = resolve_device(runtime)
    precision = resolve_precision(runtime, device)
    compiled = resolve_compile(runtime, device, pixels_of(schedule, teacher))
    capacity = memory_capacity(shard, schedule)
    image_gib, target_gib = memory_gib(teacher, shard, capacity)
    if target_gib > runtime.memory_gib:
        warnings.append(
            f"distill.student.cached_targets: with the teacher's answers they take {target_gib:.1f} GiB of memory; "
            f"runtime.memory_gib, {runtime.memory_gib:g}, puts images on disk, never these"
        )
    spill = spill_folder(image_gib, target_gib, runtime)
    inputs = {"teacher": tensors_digest(teacher.network.state_dict())}
    if embeddings:
        inputs["label_embeddings"] = tensors_digest({"table": embeddings.table})
    return Plan(
        teacher=teacher,
        embeddings=embeddings,
        config=shard,
        seed=seed,
        method=method,
        schedule=schedule,
        device=device,
        precision=precision,
        compile=compiled,
        compile_or_fail=runtime.compile is True,
        record=spill is None and runtime.processes * runtime.machines == 1,
        capacity=capacity,
        image_gib=image_gib,
        target_gib=target_gib,
        spill=spill,
        resume_folder=Path(runtime.resume_folder),
        warnings=tuple(warnings),
        provenance={"stage": "distill", "method": method.title, "seed": seed, **inputs},
        fingerprint={
            "distill": config.model_dump(),
            "seed": seed,
            "precision": precision,
            "compile": compiled,
            "processes": distributed.size(),
            **inputs,
            "own_networks": [
                architectures.code_digest(each) for each in (teacher.architecture, config.student.architecture)
            ],
            "code": code_of(method),
        },
    )


def code_of(method: type[Method[Any]]) -> str:
    """A digest of the code that distils by a method: what other code made is not gone on with."""
    return code_digest("nayer.distillation.loop", method.__module__, without=registry.__name__)


def schedule_of(config: DistillConfig) -> Schedule:
    """When images are made and when the student learns.

    Raises:
        InputError: the method alternates, and the student's steps cannot be divided among the batches, or there are
            epochs without any; or all epochs are such; or pictures are to lie beside images that it does not keep.
    """
    synthesis, steps = config.synthesis, config.student.steps
    method = registry.method_of(synthesis)
    alternates = method.alternates
    if config.leaves and not method.keeps_memory:
        raise InputError(
            f"distill.leaves: {config.leaves}, but with {synthesis.method} a student learns from the newest images "
            "alone; set 0, or take a method that keeps them."
        )
    if config.closing_epochs >= config.epochs or (config.closing_epochs and alternates):
        most = f"{synthesis.method} learns from the newest images alone; set 0" if alternates else "leave at least one"
        raise InputError(
            f"distill.closing_epochs: {config.closing_epochs} of {config.epochs} epochs (distill.epochs) make no "
            f"images; {most}."
        )
    if alternates and steps % synthesis.batches:
        raise InputError(
            f"distill.student.steps: {steps} cannot be divided among the {synthesis.batches} batches of an epoch "
            f"(distill.synthesis.batches), after each of which the student learns; take a multiple."
        )
    return Schedule(
        warmup_epochs=config.warmup_epochs,
        epochs=config.epochs,
        closing_epochs=config.closing_epochs,
        warmup_batches=synthesis.warmup_batches,
        batches=synthesis.batches,
        batch_size=synthesis.batch_size,
        steps=synthesis.steps,
        student_steps=steps,
        alternates=bool(alternates),
    )


def shard_config(config: DistillConfig, processes: int) -> DistillConfig:
    """What one of so many processes does: its part of every batch and of the memory, and the caches it has use for.

    Raises:
        InputError: a batch or the memory cannot be divided among them.
    """
    divided = {
        "distill.synthesis.batch_size": config.synthesis.batch_size,
        "distill.student.batch_size": config.student.batch_size,
        **({"distill.memory": config.memory} if config.memory else {}),
        **({"distill.leaves": config.leaves} if config.leaves else {}),
    }
    for key, value in divided.items():
        if value % processes or value // processes < MIN_SHARE:
            raise InputError(
                f"{key}: {value} images cannot be divided among {processes} processes, at least {MIN_SHARE} each; "
                "take a multiple, or change runtime.processes."
            )
    synthesis = config.synthesis.model_copy(update={"batch_size": config.synthesis.batch_size // processes})
    learnt: dict[str, Any] = {"batch_size": config.student.batch_size // processes}
    if not registry.method_of(synthesis).keeps_memory:
        learnt["cached_targets"] = None  # its images are gone before they are seen often
    student = config.student.model_copy(update=learnt)
    memory = config.memory and config.memory // processes
    shared = {"memory": memory, "leaves": config.leaves // processes}
    return config.model_copy(update={"synthesis": synthesis, "student": student, **shared})


def check_student_batch(config: DistillConfig) -> list[str]:
    """A warning where a student that learns from the newest images alone has fewer of them than its batch takes."""
    made, learnt = config.synthesis.batch_size, config.student.batch_size
    method = registry.method_of(config.synthesis)
    if method.keeps_memory or learnt <= made:
        return []
    return [
        f"distill.student.batch_size: {learnt}, but under {method.title} a step of the student has the newest {made} "
        "images, no more (distill.synthesis.batch_size)"
    ]


def check_embeddings(method: type[Method[Any]], embeddings: LabelEmbeddings | None, teacher: Classifier) -> list[str]:
    """Refuse a table that is missing or of another number of classes; returns warnings."""
    if not method.needs_embeddings:
        return []
    if embeddings is None:
        raise InputError(f"label embeddings: {method.title} needs a table of them; run the lte pipeline first.")
    rows, classes = len(embeddings.class_names), len(teacher.class_names)
    if rows != classes:
        raise InputError(
            f"label embeddings: the table has {rows} classes, the teacher {classes}; "
            "run the lte pipeline with the teacher's class names."
        )
    if tuple(embeddings.class_names) != tuple(teacher.class_names):
        return ["class names of table and teacher differ; row i is taken for the teacher's class i"]
    return []


def memory_capacity(config: DistillConfig, schedule: Schedule) -> int:
    """Images that the memory holds: no more than come in, and of a method that keeps none, those of one batch."""
    if registry.method_of(config.synthesis).keeps_memory:
        all_images = schedule.images + schedule.images // schedule.batch_size * config.leaves
        return min(config.memory or all_images, all_images)
    return schedule.batch_size


def memory_gib(teacher: Classifier, config: DistillConfig, capacity: int) -> tuple[float, float]:
    """GiB that the pixels of a memory take, and its cached targets."""
    images = capacity / 2**30
    views = min(config.student.cached_targets or 0, config.augmentation.build().crop_count)
    pixels = teacher.images.channels * teacher.images.size**2
    answers = len(teacher.class_names) + feature_count(teacher, config.student)
    return images * pixels, images * views * (3 + 2 * answers)


def spill_folder(image_gib: float, target_gib: float, runtime: RuntimeConfig) -> Path | None:
    """Where the images of a memory too large for this machine's lie; None for one that fits.

    Raises:
        InputError: several processes, whose states are gathered in the memory of the first.
    """
    if image_gib + target_gib <= runtime.memory_gib:
        return None
    if distributed.size() > 1:
        raise InputError(
            f"runtime.memory_gib: {runtime.memory_gib:g}, but images and cached targets of each of the "
            f"{distributed.size()} processes take {image_gib + target_gib:.1f} GiB, and only one process alone keeps "
            "images on disk; raise it, or lower distill.memory."
        )
    return Path(runtime.resume_folder)
