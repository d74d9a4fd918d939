"""The plan of a distillation: all its settings, checked and resolved once before it starts."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
    """One process's part of a distillation, the only thing that build, estimate and loop read settings from."""

    teacher: Classifier
    """The caller's teacher, which is never changed."""
    embeddings: LabelEmbeddings | None
    """Label embeddings; None if the method needs none."""
    config: DistillConfig
    """Parameters, with the batch sizes and the memory divided among the processes."""
    seed: int
    method: type[Method[Any]]
    schedule: Schedule
    device: torch.device
    precision: Precision
    compile: bool
    compile_or_fail: bool
    """Whether compiling was asked for explicitly, so that a machine that cannot compile is refused."""
    record: bool
    """Whether a GPU may record its steps: only with a single process and all images on the GPU."""
    capacity: int
    """Number of images that the memory holds."""
    image_gib: float
    """GiB that the pixels of a full memory take."""
    target_gib: float
    """GiB that the cached targets of a full memory take."""
    spill: Path | None
    """Folder for the images if they and their targets exceed runtime.memory_gib, otherwise None."""
    resume_folder: Path
    warnings: tuple[str, ...]
    provenance: Mapping[str, Any]
    """Origin of the student, as recorded in its file."""
    fingerprint: Mapping[str, Any]
    """What a kept state must agree with for the run to resume from it."""


def pixels_of(schedule: Schedule, teacher: Classifier) -> float:
    """Pixels that synthesis processes over all its steps: a measure of its length that depends on no machine."""
    return schedule.images * schedule.steps * teacher.images.size**2


def plan(
    teacher: Classifier,
    embeddings: LabelEmbeddings | None,
    config: DistillConfig,
    runtime: RuntimeConfig,
    seed: int,
) -> Plan:
    """Check the inputs against each other, and resolve `auto`, null and the number of processes.

    Raises:
        InputError: label embeddings, teacher, student, method and machine do not fit together.
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
            f"beyond runtime.memory_gib, {runtime.memory_gib:g}, only images go to disk"
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
            "teacher_images": asdict(teacher.images),
            "teacher_architecture": teacher.architecture,
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
    """Digest of the code that distils with a method; a state that other code made is not resumed."""
    return code_digest("nayer.distillation.loop", method.__module__, without=registry.__name__)


def schedule_of(config: DistillConfig) -> Schedule:
    """When images are made and when the student learns.

    Raises:
        InputError: the method alternates, and the student's steps cannot be divided among the batches or there are
            closing epochs; or all epochs are closing epochs; or leaves are asked for of a method without a memory.
    """
    synthesis, steps = config.synthesis, config.student.steps
    method = registry.method_of(synthesis)
    alternates = method.alternates
    if config.leaves and not method.keeps_memory:
        raise InputError(
            f"distill.leaves: {config.leaves}, but with {synthesis.method} a student learns from the newest images "
            "alone; set 0, or use a method that keeps them."
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
    """Parameters of one of so many processes: its share of every batch and of the memory.

    A method without a memory gets no cached targets.

    Raises:
        InputError: a batch, the memory or the leaves cannot be divided among the processes.
    """
    divided = {
        "distill.synthesis.batch_size": config.synthesis.batch_size,
        "distill.student.batch_size": config.student.batch_size,
        **({"distill.memory": config.memory} if config.memory else {}),
        **({"distill.leaves": config.leaves} if config.leaves else {}),
    }
    for key, value in divided.items():
        if processes > 1 and (value % processes or value // processes < MIN_SHARE):
            raise InputError(
                f"{key}: {value} images cannot be divided among {processes} processes, at least {MIN_SHARE} each; "
                "take a multiple, or change runtime.processes."
            )
        if value < MIN_SHARE:
            raise InputError(f"{key}: {value} is too few; take {MIN_SHARE} or more.")
    if config.leaves and config.memory and config.memory < config.leaves + config.synthesis.batch_size:
        raise InputError(
            f"distill.memory: {config.memory} images, but each synthetic batch of {config.synthesis.batch_size} comes "
            f"with {config.leaves} leaves, which would drive its images out; take a larger memory, or fewer leaves."
        )
    synthesis = config.synthesis.model_copy(update={"batch_size": config.synthesis.batch_size // processes})
    learnt: dict[str, Any] = {"batch_size": config.student.batch_size // processes}
    if not registry.method_of(synthesis).keeps_memory:
        learnt["cached_targets"] = None  # its images are seen too seldom for caching to pay
    student = config.student.model_copy(update=learnt)
    memory = config.memory and config.memory // processes
    shared = {"memory": memory, "leaves": config.leaves // processes}
    return config.model_copy(update={"synthesis": synthesis, "student": student, **shared})


def check_student_batch(config: DistillConfig) -> list[str]:
    """Warn if a student that learns from the newest images alone has fewer of them than its batch size."""
    made, learnt = config.synthesis.batch_size, config.student.batch_size
    method = registry.method_of(config.synthesis)
    if method.keeps_memory or learnt <= made:
        return []
    return [
        f"distill.student.batch_size: {learnt}, but with {method.title} a student step has only the newest {made} "
        "images (distill.synthesis.batch_size)"
    ]


def check_embeddings(method: type[Method[Any]], embeddings: LabelEmbeddings | None, teacher: Classifier) -> list[str]:
    """Refuse a table that is missing or has another number of classes than the teacher; returns warnings."""
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
    """Images that the memory holds: at most all that are made, or one batch for a method without a memory."""
    if registry.method_of(config.synthesis).keeps_memory:
        all_images = schedule.images + schedule.images // schedule.batch_size * config.leaves
        return min(config.memory or all_images, all_images)
    return schedule.batch_size


def memory_gib(teacher: Classifier, config: DistillConfig, capacity: int) -> tuple[float, float]:
    """GiB that the pixels of a memory of this capacity take, and GiB of its cached targets."""
    images = capacity / 2**30
    views = min(config.student.cached_targets or 0, config.augmentation.build().crop_count)
    pixels = teacher.images.channels * teacher.images.size**2
    answers = len(teacher.class_names) + feature_count(teacher, config.student)
    return images * pixels, images * views * (3 + 2 * answers)


def spill_folder(image_gib: float, target_gib: float, runtime: RuntimeConfig) -> Path | None:
    """Folder for the images of a memory that with its targets exceeds runtime.memory_gib; None for one that fits.

    Raises:
        InputError: there are several processes, whose states are gathered in the memory of the first.
    """
    if image_gib + target_gib <= runtime.memory_gib:
        return None
    if distributed.size() > 1:
        raise InputError(
            f"runtime.memory_gib: {runtime.memory_gib:g}, but images and cached targets of each of the "
            f"{distributed.size()} processes take {image_gib + target_gib:.1f} GiB, and only a single process keeps "
            "images on disk; raise it, or lower distill.memory."
        )
    return Path(runtime.resume_folder)
