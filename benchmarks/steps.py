"""Times the steps of the hot loops against the plain baseline (benchmarks/plain.py), interleaved in one run.

    python benchmarks/steps.py                       # all shapes, medians of five rounds
    python benchmarks/steps.py --shapes digits --rounds 9

A synthesis step is one step of Adam with all three terms, a distillation step one of SGD with its images from the pool,
an evaluation 2,000 images. Weights are random: they do not change what is computed.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from omegaconf import OmegaConf
from plain import PlainDistillation, PlainSynthesis, write_images

from nayer.config import DistillConfig, RuntimeConfig
from nayer.evaluation.metrics import predict
from nayer.images import ImageSpec, to_float
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.training.device import computes_in_bf16
from nayer.training.distillation_setup import build

PROJECT = Path(__file__).parents[1]
CLASSES, WIDTH = 10, 384
EVALUATED = 2000
# Steps of Adam per synthetic batch; the scenarios take 15 to 40.
STEPS = 5


@dataclass(frozen=True)
class Shape:
    """Teacher, student, and the scenario whose batches and images they get."""

    scenario: str
    images: ImageSpec
    teacher: str
    student: str


def rgb(size: int) -> ImageSpec:
    return ImageSpec(size, 3, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


SHAPES = {
    "digits": Shape("digits", ImageSpec(8, 1, (0.3,), (0.4,)), "wrn-16-2", "wrn-10-1"),
    "fashion_mnist": Shape("fashion_mnist", ImageSpec(28, 1, (0.3,), (0.4,)), "wrn-16-1", "wrn-10-1"),
    "cifar10 wrn-16-2 > wrn-16-1": Shape("cifar10", rgb(32), "wrn-16-2", "wrn-16-1"),
    "cifar10 wrn-40-2 > wrn-16-1": Shape("cifar10", rgb(32), "wrn-40-2", "wrn-16-1"),
    "cifar10 resnet-34 > resnet-18": Shape("cifar10", rgb(32), "resnet-34", "resnet-18"),
}


def distill_config(shape: Shape) -> DistillConfig:
    """The scenario's own, with this student."""
    files = [PROJECT / "conf" / part / "parameters_distill.yml" for part in ("base", shape.scenario)]
    merged: Any = OmegaConf.to_container(OmegaConf.merge(*(OmegaConf.load(file) for file in files)))
    merged["distill"]["student"]["architecture"] = shape.student
    return DistillConfig.model_validate(merged["distill"])


def runtime(**changes: Any) -> RuntimeConfig:
    """The machine as it is found."""
    settings = {
        "device": "cpu",
        "precision": "auto",
        "threads": None,
        "processes": 1,
        "machines": 1,
        "address": None,
        "memory_gib": 4,
        "resume": "never",
        "resume_folder": "",
    }
    return RuntimeConfig.model_validate({**settings, "checkpoint_seconds": 60, **changes})


def teacher_of(shape: Shape) -> Classifier:
    """Random weights, but statistics of images that it has seen."""
    torch.manual_seed(0)
    teacher = Classifier.build(shape.teacher, tuple(f"class {i}" for i in range(CLASSES)), shape.images).train()
    with torch.no_grad():
        teacher(torch.rand(64, shape.images.channels, shape.images.size, shape.images.size))
    return teacher.eval().requires_grad_(False)


Steps = dict[str, Callable[[], object]]


def ours(shape: Shape, settings: RuntimeConfig) -> Steps:
    """The steps of the library."""
    config = distill_config(shape)
    # What surrounds a batch (the draw of the noisy layer, a fresh Adam) is shared by its steps, as in a real run.
    short = config.synthesis.model_copy(update={"steps": STEPS})
    config = config.model_copy(update={"synthesis": short, "memory": 4096})
    teacher = teacher_of(shape)
    table = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(1))
    state = build(
        teacher, LabelEmbeddings(table, teacher.class_names, "random", "1", "unused"), config, settings, seed=0
    )
    state.synthesizer.start_epoch(config.warmup_epochs)
    size, channels = shape.images.size, shape.images.channels
    images = torch.randint(256, (4096, channels, size, size), dtype=torch.uint8)
    state.views.add(images, torch.arange(4096) % CLASSES)

    def distillation() -> object:
        return state.learn(config.student)

    return {
        "synthesis": lambda: state.synthesizer.step(state.trainer.student),
        "distillation": distillation,
        "evaluation": lambda: predict(state.trainer.student, images[:EVALUATED], 500, torch.device("cpu")),
    }


def plain(shape: Shape, folder: Path) -> Steps:
    """The same steps as the baseline does them."""
    config, teacher = distill_config(shape), teacher_of(shape)
    table = torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(1))
    looked_at = Classifier.build(shape.student, teacher.class_names, shape.images).eval().requires_grad_(False)
    student = Classifier.build(shape.student, teacher.class_names, shape.images)
    size, channels = shape.images.size, shape.images.channels
    images = torch.randint(256, (4096, channels, size, size), dtype=torch.uint8)
    write_images(folder, images)

    @torch.no_grad()
    def evaluation() -> object:
        return [student.eval()(to_float(batch)) for batch in images[:EVALUATED].split(100)]

    return {
        "synthesis": PlainSynthesis(teacher, looked_at, table, config).step,
        # A teacher of its own: the hooks of the synthesis are never taken off.
        "distillation": PlainDistillation(teacher_of(shape), student, folder, config).step,
        "evaluation": evaluation,
    }


def seconds(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def compare(shape: Shape, rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds of baseline and library by step; the first call of each warms up and does not count."""
    with tempfile.TemporaryDirectory() as folder:
        baseline, library = plain(shape, Path(folder)), ours(shape, runtime())
        found = {}
        for name in library:
            times: tuple[list[float], list[float]] = ([], [])
            for step in (baseline[name], library[name]):
                step()
            for _ in range(rounds):
                times[0].append(seconds(baseline[name]))
                times[1].append(seconds(library[name]) / (STEPS if name == "synthesis" else 1))
            found[name] = (median(times[0]), median(times[1]))
    return found


def machine() -> str:
    """What the times hold for."""
    bf16 = "bf16" if computes_in_bf16(torch.device("cpu")) else "fp32"
    return f"{torch.get_num_threads()} threads, {bf16}, python {platform.python_version()}, torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Step times against a plain baseline.")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    click.echo(f"{machine()}; medians of {options.rounds} rounds")
    click.echo("| shape | step | plain, s | library, s | ratio |\n|---|---|---|---|---|")
    for name in options.shapes:
        for step, (slow, fast) in compare(SHAPES[name], options.rounds).items():
            click.echo(f"| {name} | {step} | {slow:.4g} | {fast:.4g} | {slow / fast:.2f} |")


if __name__ == "__main__":
    main()
