"""Predicts what a distillation will cost on this machine, from a few real steps that are then undone."""

import copy
import shutil

import psutil

from nayer.core.formats import duration
from nayer.distillation.config import DistillConfig
from nayer.distillation.cost import StepSeconds, first_step, measuring_seconds, time_steps
from nayer.distillation.plan import Plan
from nayer.distillation.state import LoopState
from nayer.engine import distributed

PROBE_STEPS = 2
BANK = ("memory", "targets")


def estimate(plan: Plan, state: LoopState) -> str:
    """One sentence with time, memory and disk. A state without images is left as it was, random generators included."""
    # Without the images, which may take gigabytes and are forgotten below.
    before = copy.deepcopy({name: part for name, part in state.state_dict().items() if name not in BANK})
    cost = time_steps(plan, state, first_step(plan, state), PROBE_STEPS, rounds=1)
    state.memory.clear()
    state.load_state_dict({**state.state_dict(), **before})
    schedule, config, processes = plan.schedule, plan.config, distributed.size()
    student_steps = schedule.epochs * schedule.student_steps
    synthesis = (schedule.images + config.probe_images) / schedule.batch_size * cost.batch(schedule.steps)
    distillation = student_steps * cost.student_step
    spilt = plan.image_gib if plan.spill else 0.0
    kept = state.method.kept_bytes / 2**30
    resident = psutil.Process().memory_info().rss / 2**30 + plan.image_gib + plan.target_gib + kept - spilt
    weights = 12 * state.trainer.student.parameter_count / 2**30
    available = psutil.virtual_memory().available / 2**30
    nearest = next(folder for folder in plan.resume_folder.absolute().parents if folder.exists())
    free = shutil.disk_usage(nearest).free / 2**30
    # Twice, as the old state stays while the new one is written; the first process writes the states of all.
    disk = 2 * processes * (plan.image_gib + plan.target_gib + kept + weights) + spilt
    each = f" in each of {processes} processes" if processes > 1 else ""
    return (
        f"Estimate for this machine: {duration(synthesis + distillation)} "
        f"({processes * schedule.images:,} images synthesised in {duration(synthesis)}, "
        f"{student_steps:,} student steps in {duration(distillation)}), "
        f"memory {resident:.1f} GiB{each} ({available:.1f} available), "
        f"disk {disk:.2f} GiB while it runs ({free:.0f} free)."
    )


def estimate_seconds(config: DistillConfig, cost: StepSeconds) -> float:
    """Seconds that `estimate` takes if steps cost this much."""
    return measuring_seconds(config, cost, PROBE_STEPS, rounds=1)
