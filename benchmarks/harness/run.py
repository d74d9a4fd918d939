"""One run of a study in its own process, by `python -m harness.run JOB.json`, which also continues a killed run."""

import copy
import json
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import torch
from torchvision.io import write_png

from harness.locks import held
from harness.scenario import data_of, runtime
from harness.strips import strip
from nayer import datasets
from nayer.core.config import Config
from nayer.core.errors import Diverged, Interrupted, Stopped, within
from nayer.core.files import write_atomically
from nayer.datasets.base import ImageSet, RealData
from nayer.distillation.config import DistillConfig
from nayer.distillation.loop import build_and_try, collect, fit
from nayer.distillation.plan import plan
from nayer.distillation.state import LoopState
from nayer.engine.allocator import keep_freed_memory
from nayer.engine.config import RuntimeConfig
from nayer.engine.device import resolve_device, resolve_precision
from nayer.engine.progress import MultiReporter, NullReporter, Terminal
from nayer.engine.resume import ResumePoint
from nayer.evaluation.baselines import accuracy_of
from nayer.evaluation.cost import machine
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier, freeze
from nayer.models.inference import accuracy, predict

# Validation images for each point of the curve; the last epoch is judged by all.
CURVE_IMAGES = 2000
CURVE, WALL, RESULT, PICTURE = "curve.json", "wall_seconds.json", "result.json", "images.png"
UNFINISHED = 75
# Exit status of a run that diverged, as it would on any machine.
DIVERGED = 65
# Option given by a process that holds the other end of stdin: when that process is gone, the run ends.
ATTACHED = "--attached"
WAITS = "The process that was at this run before is about to end; waiting for it."


class Job(Config):
    """All that the process needs."""

    folder: str
    """Folder of this run, for its state and its results."""
    teacher: str
    embeddings: str | None
    scenario: str
    distill: dict[str, Any]
    baseline: str | None
    seed: int
    test: bool
    device: str
    made_by: dict[str, str]
    """Digests of the code and of the teacher, so that results of others are not taken for this job's."""


class Curve(NullReporter):
    """Accuracy on some validation images and seconds so far, after every epoch; kept on disk for resumed runs."""

    def __init__(self, file: Path, validation: ImageSet, device: torch.device) -> None:
        self.file, self.validation, self.device = file, validation, device
        self.state: LoopState | None = None
        self.rows: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []

    def epoch(self, stage: str, epoch: int, values: Mapping[str, float]) -> None:
        """Measure the student as it is now, without changing anything that the loop uses."""
        if self.state is None or values["kd_loss"] is None:
            return
        student = copy.deepcopy(self.state.trainer.student)  # not compiled
        found = accuracy(student, self.validation, self.device)
        row = {
            "epoch": epoch,
            "validation_accuracy_2000": found,
            "synthesis_seconds": self.state.seconds["synthesis"],
            "student_seconds": self.state.seconds["student"],
        }
        self.rows = [each for each in self.rows if each["epoch"] < epoch] + [row]
        write_atomically(self.file, lambda part: part.write_text(json.dumps(self.rows)))


def distilled(job: Job, real: RealData, settings: RuntimeConfig, folder: Path) -> dict[str, Any]:
    """Train a student by the method; returns its curve, accuracy and cost."""
    teacher = freeze(Classifier.load(Path(job.teacher)))
    table = LabelEmbeddings.load(Path(job.embeddings)) if job.embeddings else None
    made = plan(teacher, table, DistillConfig.model_validate(job.distill), settings, job.seed)
    curve = Curve(folder / CURVE, real.validation[:CURVE_IMAGES], made.device)
    reporter = MultiReporter(Terminal(interval=60), curve)
    resume = ResumePoint(settings, "distill", made.fingerprint, reporter)
    state = curve.state = build_and_try(made, reporter)
    if resume.restore(state):
        reporter.say(resume.resumed_in(state.epoch, made.schedule.total_epochs))
    fit(state, made, resume, reporter)
    found = collect(state, made)
    found.student.cpu().save(folder / "student.safetensors")
    found.sample.save(folder / "sample.safetensors")
    write_png(strip(found.sample, len(teacher.class_names)).permute(2, 0, 1), str(folder / PICTURE))
    schedule = made.schedule
    batches = schedule.images // schedule.batch_size
    judged = real.test if job.test else real.validation
    answers = [predict(model, judged.images, made.device).argmax(1) for model in (found.student, teacher)]
    return {
        "curve": curve.rows,
        "parameters": made.config.model_dump(mode="json"),
        "accuracy": (answers[0] == judged.labels).float().mean().item(),
        "teacher_accuracy": (answers[1] == judged.labels).float().mean().item(),
        "agreement": (answers[0] == answers[1]).float().mean().item(),
        "judged_on": "test" if job.test else "validation",
        "validation_accuracy": accuracy(found.student, real.validation, made.device),
        "synthesis_seconds": found.seconds["synthesis"],
        "student_seconds": found.seconds["student"],
        "images": found.images_made,
        "batches": batches,
        "synthesis_steps": batches * schedule.steps,
        "student_steps": schedule.epochs * schedule.student_steps,
        "precision": made.precision,
        "compiled": made.compile,
    }


def baseline(job: Job, name: str, real: RealData, settings: RuntimeConfig) -> dict[str, Any]:
    """Train a student by a baseline, which has no curve and, except for noise, learns from real images."""
    config = DistillConfig.model_validate(job.distill)
    began = time.monotonic()
    found = accuracy_of(
        name, Classifier.load(Path(job.teacher)), real, config, settings, job.seed, Terminal(interval=60)
    )
    steps = config.epochs * config.student.steps
    seconds = time.monotonic() - began
    return {
        "curve": [],
        "accuracy": found,
        "judged_on": "test",
        "student_seconds": seconds,
        "student_steps": steps,
        "precision": resolve_precision(settings, resolve_device(settings)),
    }


@contextmanager
def counted(file: Path) -> Iterator[list[float]]:
    """Count the seconds of a run, including those before it was stopped; the list has the total on leaving."""
    before = json.loads(file.read_text()) if file.exists() else 0.0
    began, total = time.monotonic(), [before]
    try:
        yield total
    finally:
        total[0] = before + time.monotonic() - began
        write_atomically(file, lambda part: part.write_text(json.dumps(total[0])))


def perform(job: Job) -> dict[str, Any]:
    """Perform the run, from its last state on."""
    keep_freed_memory()
    folder = Path(job.folder)
    settings = runtime(device=job.device, resume="auto", resume_folder=str(folder / "resume"))
    resolve_device(settings)
    real = datasets.load(data_of(job.scenario))
    with counted(folder / WALL) as wall:
        found = baseline(job, job.baseline, real, settings) if job.baseline else distilled(job, real, settings, folder)
    return {
        **found,
        "wall_seconds": wall[0],
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "machine": machine(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def end_with_parent() -> None:
    """Stop this process, which keeps its state, when nobody holds the other end of stdin any more."""
    while os.read(sys.stdin.fileno(), 1):  # unbuffered: a lock held on sys.stdin would crash this process at exit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    file = Path(sys.argv[1])
    job = Job.model_validate_json(file.read_text())

    def interrupt(number: int, _: object) -> None:
        raise Interrupted("stopped", number)

    signal.signal(signal.SIGTERM, interrupt)
    if ATTACHED in sys.argv:
        threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        # The study may have been killed and started again before its former process for this run has ended.
        with held(Path(job.folder) / "lock", WAITS, Terminal(interval=60)):
            found = perform(job)
    except Interrupted:
        return UNFINISHED
    except Stopped as error:
        if not within(error, Diverged):
            raise
        click.echo(str(error), err=True)
        return DIVERGED
    folder = Path(job.folder)
    write_atomically(folder / RESULT, lambda part: part.write_text(json.dumps(found, indent=1)))
    shutil.rmtree(folder / "resume", ignore_errors=True)
    (folder / WALL).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
