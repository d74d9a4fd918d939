"""What a distillation will cost on this machine, from a few real steps on a throw-away student and generator."""

import shutil
import time
from pathlib import Path

import psutil
import torch

from nayer import ranks
from nayer.config import DistillConfig, RuntimeConfig
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.training.distillation_setup import LoopState, bank_gib, build, spill_folder

PROBE_STEPS = 2


def estimate(teacher: Classifier, embeddings: LabelEmbeddings, config: DistillConfig, runtime: RuntimeConfig) -> str:
    """One sentence with time, memory and disk; the random generators stay as they were."""
    short = config.synthesis.model_copy(update={"steps": PROBE_STEPS})
    probe = config.model_copy(
        update={"synthesis": short, "memory": 2 * max(short.batch_size, config.student.batch_size)}
    )
    with torch.random.fork_rng():
        state = build(teacher, embeddings, probe, runtime, seed=0)
        synthesis_batch, student_step = batch_seconds(state, config)
    schedule = state.synthesizer.schedule
    batches = (schedule.images + config.held_out) / schedule.batch_size
    synthesis = batches * synthesis_batch
    distillation = config.epochs * config.student.steps * student_step
    pixels, views = bank_gib(teacher, config, schedule)
    spilt = pixels if spill_folder(pixels, views, runtime) else 0.0
    resident = psutil.Process().memory_info().rss / 2**30 + pixels + views - spilt
    weights = 12 * state.trainer.student.parameter_count / 2**30
    available = psutil.virtual_memory().available / 2**30
    existing = next(folder for folder in Path(runtime.resume_folder).absolute().parents if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    # The old state and the new one while it is written; the first process writes those of all.
    disk = 2 * ranks.size() * (pixels + views + weights) + spilt
    each = f" in each of {ranks.size()} processes" if ranks.size() > 1 else ""
    return (
        f"Estimate for this machine: {_duration(synthesis + distillation)} "
        f"({ranks.size() * schedule.images:,} images synthesised in {_duration(synthesis)}, "
        f"{config.epochs * config.student.steps:,} student steps in {_duration(distillation)}), "
        f"memory {resident:.1f} GiB{each} ({available:.1f} available), "
        f"disk {disk:.2f} GiB while it runs ({free:.0f} free)."
    )


def batch_seconds(state: LoopState, config: DistillConfig) -> tuple[float, float]:
    """Seconds of one synthetic batch and of one student step; the first of each warms up and does not count."""
    state.synthesizer.start_epoch(config.warmup_epochs)
    synthesis = answers = student = 0.0
    for _ in range(2):
        began = time.perf_counter()
        made = state.synthesizer.step(state.trainer.student)
        made.losses["synthesis_loss"].item()  # waits for the device
        synthesis = (time.perf_counter() - began) / PROBE_STEPS * config.synthesis.steps
    while len(state.memory) < state.memory.capacity:
        began = time.perf_counter()
        state.views.add(made.images, made.labels)
        answers = time.perf_counter() - began
    for _ in range(2):
        began = time.perf_counter()
        state.learn(config.student).tolist()  # waits for the device
        student = time.perf_counter() - began
    return synthesis + answers, student


def _duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
