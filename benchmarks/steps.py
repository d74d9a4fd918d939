"""Times the hot loops against the plain baseline (benchmarks/plain.py), interleaved in one run.

    python benchmarks/steps.py                       # all shapes, medians of five rounds
    python benchmarks/steps.py --shapes digits --rounds 9
    python benchmarks/steps.py --alone --rounds 1 --shapes "imagenet resnet-50 > resnet-18"
    python benchmarks/steps.py --precision fp32 --no-compile   # as on a CPU without bf16 and AMX
    python benchmarks/steps.py --steps epoch "epoch, cached targets" --part 1 --rounds 1 --shapes fashion_mnist
    python benchmarks/steps.py --sweep               # precision, memory format, torch.compile; on a GPU: --device cuda

A synthesis step is one step of Adam with all three terms; a distillation step is one of SGD with its images from the
pool (once as the paper does it, once with cached targets); an epoch is the scenario's steps of both and what brings the
images from one to the other, or a part of all that; an evaluation takes 2,000 images. Weights are random: they do not
change what is computed.
"""

import argparse
import copy
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import cast

import click
import torch
from harness.scenario import parameters, runtime
from plain import PlainDistillation, PlainSynthesis, write_images
from torch import Tensor

from nayer.core.images import ImageSpec, to_float
from nayer.distillation.build import build
from nayer.distillation.config import DistillConfig
from nayer.distillation.plan import plan
from nayer.distillation.state import LoopState
from nayer.engine.allocator import keep_freed_memory
from nayer.engine.config import RuntimeConfig
from nayer.engine.device import resolve_device, resolve_precision, seconds_to_synchronize
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.models.inference import predict
from nayer.synthesis.methods.nayer import Nayer

WIDTH = 384
EVALUATED = 2000
LARGE = 64
# Steps of Adam per synthetic batch; the scenarios take 15 to 40.
STEPS = 5
# By default, 1/EPOCH_PART of an epoch is timed.
EPOCH_PART = 40
# Steps timed in a row, so that the baseline's loader runs at its own rate, and the pause in which it fills up again.
BLOCK, PAUSE_SECONDS = 8, 1.5
CACHED_TARGETS = 8
# Calls before the timed ones, and seconds after which none is begun: the C library's heap grows over the first ones.
WARM_UP, WARM_UP_SECONDS = 4, 30
CPU = torch.device("cpu")
COMPARED = ("synthesis", "distillation", "distillation, cached targets", "epoch", "epoch, cached targets", "evaluation")
# Steps that warm up for an epoch, which takes too long to be done twice.
WITHIN = {
    "epoch": ("synthesis", "distillation"),
    "epoch, cached targets": ("synthesis", "distillation, cached targets"),
}


@dataclass(frozen=True)
class Shape:
    """Teacher, student, and the scenario whose batches and images they get."""

    scenario: str
    images: ImageSpec
    teacher: str
    student: str
    classes: int = 10

    @property
    def pool(self) -> int:
        """Number of images to learn from."""
        return 4096 if self.images.size <= LARGE else 512


def rgb(size: int) -> ImageSpec:
    return ImageSpec(size, 3, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


SHAPES = {
    "digits": Shape("digits", ImageSpec(8, 1, (0.3,), (0.4,)), "wrn-16-2", "wrn-10-1"),
    "fashion_mnist": Shape("fashion_mnist", ImageSpec(28, 1, (0.3,), (0.4,)), "wrn-16-1", "wrn-10-1"),
    "cifar10 wrn-16-2 > wrn-16-1": Shape("cifar10", rgb(32), "wrn-16-2", "wrn-16-1"),
    "cifar10 wrn-40-2 > wrn-16-1": Shape("cifar10", rgb(32), "wrn-40-2", "wrn-16-1"),
    "cifar10 resnet-34 > resnet-18": Shape("cifar10", rgb(32), "resnet-34", "resnet-18"),
}
# These run only if named: the baseline takes minutes for a step.
BIG = {
    "imagenet resnet-50 > resnet-18": Shape("imagenet", rgb(224), "torchvision:resnet50", "torchvision:resnet18", 1000)
}
ALL = SHAPES | BIG


def distill_config(shape: Shape) -> DistillConfig:
    """The scenario's own configuration, with this student."""
    values = parameters(shape.scenario, "distill")
    values["student"]["architecture"] = shape.student
    return DistillConfig.model_validate(values)


def teacher_of(shape: Shape) -> Classifier:
    """A teacher with random weights, but BatchNorm statistics of images that it has seen."""
    torch.manual_seed(0)
    teacher = Classifier.build(shape.teacher, tuple(f"class {i}" for i in range(shape.classes)), shape.images).train()
    with torch.no_grad():
        teacher(torch.rand(64, shape.images.channels, shape.images.size, shape.images.size))
    return teacher.eval().requires_grad_(False)


Steps = dict[str, Callable[[], object]]


def state_of(
    shape: Shape, settings: RuntimeConfig, cached_targets: int | None = None
) -> tuple[LoopState, DistillConfig]:
    """The library's loop after its warm-up, with a full memory."""
    config = distill_config(shape)
    student = config.student.model_copy(update={"cached_targets": cached_targets})
    config = config.model_copy(update={"student": student, "memory": shape.pool})
    teacher = teacher_of(shape)
    table = torch.randn(shape.classes, WIDTH, generator=torch.Generator().manual_seed(1))
    embeddings = LabelEmbeddings(table, teacher.class_names, "random", "1", "unused")
    state = build(plan(teacher, embeddings, config, settings, seed=0))
    # What surrounds a batch (the draw of the noisy layer, a fresh Adam) is shared by its steps, as in a real run.
    state.method.config = config.synthesis.model_copy(update={"steps": STEPS})
    state.method.start_epoch(config.warmup_epochs)
    device = state.memory.labels.device
    state.targets.add(pool_of(shape).to(device), torch.arange(shape.pool, device=device) % shape.classes)
    return state, config


def pool_of(shape: Shape) -> Tensor:
    """Random images to learn from, uint8 (N, C, H, W)."""
    torch.manual_seed(0)
    return torch.randint(
        256, (shape.pool, shape.images.channels, shape.images.size, shape.images.size), dtype=torch.uint8
    )


@dataclass(frozen=True)
class Epoch:
    """Work of an epoch, or of a part of it."""

    batches: int
    """Number of synthetic batches."""
    synthesis_steps: int
    """Synthesis steps for each batch."""
    images: int
    """Images of each batch that go into the pool."""
    student_steps: int

    @classmethod
    def of(cls, config: DistillConfig, part: int) -> "Epoch":
        """Work of 1/`part` of an epoch, at least one step of each kind."""
        synthesis = config.synthesis
        batches = max(1, synthesis.batches // part)
        steps, images = (
            synthesis.batches * each // part // batches for each in (synthesis.steps, synthesis.batch_size)
        )
        return cls(batches, max(1, steps), max(1, images), max(1, config.student.steps // part))


def ours(shape: Shape, settings: RuntimeConfig, part: int) -> Steps:
    """The steps of the library, in a process set up as its own runs are."""
    keep_freed_memory()
    online, config = state_of(shape, settings)
    cached, _ = state_of(shape, settings, CACHED_TARGETS)
    work = Epoch.of(distill_config(shape), part)

    def epoch(state: LoopState) -> None:
        method = state.method
        short, method.config = method.config, method.config.model_copy(update={"steps": work.synthesis_steps})
        for _ in range(work.batches):
            batch = method.step(state.trainer.student)
            state.targets.add(batch.images[: work.images], batch.labels[: work.images])
        for _ in range(work.student_steps):
            state.learn(config.student)
        method.config = short

    images, student = pool_of(shape)[:EVALUATED], copy.deepcopy(online.trainer.student)
    return {
        "synthesis": lambda: online.method.step(online.trainer.student),
        "distillation": lambda: online.learn(config.student),
        "distillation, cached targets": lambda: cached.learn(config.student),
        "epoch": lambda: epoch(online),
        "epoch, cached targets": lambda: epoch(cached),
        "evaluation": lambda: predict(student, images, CPU),
    }


def plain(shape: Shape, folder: Path, part: int) -> Steps:
    """The same steps as the baseline does them."""
    config, teacher = distill_config(shape), teacher_of(shape)
    table = torch.randn(shape.classes, WIDTH, generator=torch.Generator().manual_seed(1))
    frozen = Classifier.build(shape.student, teacher.class_names, shape.images).eval().requires_grad_(False)
    student = Classifier.build(shape.student, teacher.class_names, shape.images)
    images = pool_of(shape)
    write_images(folder, images)
    work = Epoch.of(config, part)
    synthesis = PlainSynthesis(teacher, frozen, table, config)
    # A teacher of its own: the hooks of the synthesis are never removed.
    distillation = PlainDistillation(teacher_of(shape), student, folder, config)

    def epoch() -> None:
        for batch in range(work.batches):
            for _ in range(work.synthesis_steps):
                synthesis.step()
            write_images(folder / f"batch {batch}", images[: work.images])
        for _ in range(work.student_steps):
            distillation.step()

    @torch.no_grad()
    def evaluation() -> object:
        return [student.eval()(to_float(batch)) for batch in images[:EVALUATED].split(100)]

    return {
        "synthesis": synthesis.step,
        "distillation": distillation.step,
        "distillation, cached targets": distillation.step,
        "epoch": epoch,
        "epoch, cached targets": epoch,
        "evaluation": evaluation,
    }


def seconds(step: Callable[[], object], repeats: int = 1, device: torch.device = CPU) -> float:
    """Seconds of one step: the mean of `repeats` in a row, until the device has done them."""
    seconds_to_synchronize(device)
    began = time.perf_counter()
    for _ in range(repeats):
        step()
    seconds_to_synchronize(device)
    return (time.perf_counter() - began) / repeats


# The steps that this process times, by name.
made: Steps = {}


def make(steps: Callable[..., Steps], *arguments: object) -> None:
    made.update(steps(*arguments))


def warm_up(name: str) -> None:
    """Repeat a step until it runs as in a long loop."""
    for step in WITHIN.get(name, (name,)):
        until = time.monotonic() + WARM_UP_SECONDS
        for _ in range(WARM_UP):
            made[step]()
            if time.monotonic() > until:
                break


def timed(name: str, repeats: int) -> float:
    return seconds(made[name], repeats)


def apart(steps: Callable[..., Steps], *arguments: object) -> ProcessPoolExecutor:
    """A process of its own for one side: in a heap shared with the library, the baseline took up to twice as long."""
    return ProcessPoolExecutor(1, get_context("spawn"), partial(make, steps, *arguments))


def compare(
    shape: Shape, rounds: int, settings: RuntimeConfig, steps: Sequence[str], part: int
) -> dict[str, tuple[float, float]]:
    """Median seconds of baseline and library by step, each in a process of its own, one at a time."""
    with (
        tempfile.TemporaryDirectory() as folder,
        apart(plain, shape, Path(folder), part) as baseline,
        apart(ours, shape, settings, part) as library,
    ):
        found = {}
        for name in steps:
            times: tuple[list[float], list[float]] = ([], [])
            for side in (baseline, library):
                side.submit(warm_up, name).result()
            learning = name.startswith("distillation")
            repeats, loads = BLOCK if learning else 1, learning or name.startswith("epoch")
            for _ in range(rounds):
                times[0].append(baseline.submit(timed, name, repeats).result())
                time.sleep(PAUSE_SECONDS if loads else 0)
                taken = library.submit(timed, name, repeats).result()
                times[1].append(taken / (STEPS if name == "synthesis" else 1))
            found[name] = (median(times[0]), median(times[1]))
    return found


def machine(device: torch.device) -> str:
    """Device, threads and versions that the times hold for."""
    versions = f"python {platform.python_version()}, torch {torch.__version__}"
    return f"{device}, {torch.get_num_threads()} threads, {versions}"


def sweep(names: list[str], rounds: int, device: str) -> None:
    """Seconds of a synthesis and a distillation step by precision, memory format and compilation."""
    click.echo(
        "| shape | precision | memory format | compiled | synthesis, s | distillation, s | first step of each, s |"
    )
    click.echo("|---|---|---|---|---|---|---|")
    for name, precision, memory_format, compiled in product(
        names, ("fp32", "bf16"), (torch.contiguous_format, torch.channels_last), (False, True)
    ):
        torch._dynamo.reset()
        state, config = state_of(ALL[name], runtime(device=device, precision=precision, compile=compiled))
        method = cast(Nayer, state.method)
        networks = (state.trainer.student.network, method.context.teacher.network, method.generator)
        for network in networks:
            network.to(memory_format=memory_format)
        work = partial(method.step, state.trainer.student), partial(state.learn, config.student)
        timed = partial(seconds, device=state.memory.labels.device)
        first = sum(timed(step) for step in work)
        steps = [median(timed(step) for _ in range(rounds)) for step in work]
        layout = str(memory_format).removeprefix("torch.").removesuffix("_format")
        values = f"{steps[0] / STEPS:.4g} | {steps[1]:.4g} | {first:.1f}"
        click.echo(f"| {name} | {precision} | {layout} | {'yes' if compiled else 'no'} | {values} |")


def alone(names: list[str], rounds: int, settings: RuntimeConfig) -> None:
    """Seconds of the library's steps, and the largest resident set of this process so far."""
    click.echo("| shape | step | seconds | peak memory so far, GiB |\n|---|---|---|---|")
    for name in names:
        state, config = state_of(ALL[name], settings)
        steps: dict[str, tuple[Callable[[], object], int]] = {
            "synthesis": (partial(state.method.step, state.trainer.student), STEPS),
            "distillation": (partial(state.learn, config.student), 1),
        }
        for step, (work, count) in steps.items():
            work()
            taken = median(seconds(work, device=state.memory.labels.device) for _ in range(rounds)) / count
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            click.echo(f"| {name} | {step} | {taken:.4g} | {peak:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Step times against a plain baseline.")
    parser.add_argument("--shapes", nargs="+", choices=ALL, default=list(SHAPES))
    parser.add_argument("--steps", nargs="+", choices=COMPARED, default=COMPARED, help="against the baseline")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", type=int, default=EPOCH_PART, help="of an epoch; 1 for a whole one, minutes to hours")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default="auto", help="default: where it pays"
    )
    parser.add_argument("--device", default="cpu", help="for --alone and --sweep")
    parser.add_argument("--sweep", action="store_true", help="precision, memory format, torch.compile")
    parser.add_argument("--alone", action="store_true", help="the library's steps only, with the peak memory")
    parser.add_argument("--give-back-memory", action="store_true", help="with --alone: the C library's own default")
    options = parser.parse_args()
    if options.device != "cpu" and not (options.alone or options.sweep):
        parser.error("--device: the baseline runs on a CPU; add --alone or --sweep")
    if options.sweep and (options.precision, options.compile) != ("auto", "auto"):
        parser.error("--precision, --compile: a sweep takes all there are; leave them out")
    if options.give_back_memory and not options.alone:
        parser.error("--give-back-memory: add --alone")
    if (options.alone or options.sweep) and not options.give_back_memory:
        keep_freed_memory()
    settings = runtime(device=options.device, precision=options.precision, compile=options.compile)
    device = resolve_device(settings)
    click.echo(f"{machine(device)}; medians of {options.rounds} rounds")
    if options.sweep:
        return sweep(options.shapes, options.rounds, options.device)
    click.echo(f"the library computes in {resolve_precision(settings, device)}")
    if options.alone:
        return alone(options.shapes, options.rounds, settings)
    click.echo("| shape | step | plain, s | library, s | ratio |\n|---|---|---|---|---|")
    for name in options.shapes:
        for step, (slow, fast) in compare(ALL[name], options.rounds, settings, options.steps, options.part).items():
            label = step if options.part == 1 else step.replace("epoch", f"1/{options.part} epoch")
            click.echo(f"| {name} | {label} | {slow:.4g} | {fast:.4g} | {slow / fast:.2f} |")


if __name__ == "__main__":
    main()
