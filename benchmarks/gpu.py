"""What one accelerator makes of NAYER, with the library alone: no Kedro, MLflow or DVC.

Needs torch >= 2.11, torchvision, transformers, safetensors, pydantic, omegaconf, click, grimp, psutil, rich and
scikit-learn.

    python benchmarks/gpu.py --data data/01_raw --out results            # CIFAR-10, WRN-40-2 > WRN-16-1, NAYER-100
    python benchmarks/gpu.py --teacher resnet-34 --student resnet-18 ...

Works for `--minutes` at most and ends with "unfinished"; the same command goes on. Every finished part is a JSON file
in `--out`; all of them make one table. Test images are read once, after the last epoch.
"""

import argparse
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from harness.scenario import PROJECT, parameters, runtime
from torch.utils.flop_counter import FlopCounterMode

from nayer import datasets
from nayer.core.errors import Interrupted
from nayer.core.files import write_atomically
from nayer.datasets.config import DataConfig
from nayer.distillation.build import build
from nayer.distillation.config import DistillConfig
from nayer.distillation.loop import distill
from nayer.distillation.plan import plan
from nayer.engine.device import resolve_device, seconds_to_synchronize
from nayer.engine.progress import Terminal
from nayer.engine.resume import ResumePoint
from nayer.lte.config import LteConfig
from nayer.lte.embeddings import LabelEmbeddings
from nayer.lte.encoders import embed_labels
from nayer.models.classifier import Classifier, freeze
from nayer.models.inference import accuracy
from nayer.teachers.config import TrainingConfig
from nayer.teachers.train import train

MATRIX, ROUNDS, UNFINISHED = 8192, 10, 75


class Benchmark:
    """The parts, each done once; what they made lies in `out`."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.out = Path(options.out)
        self.out.mkdir(parents=True, exist_ok=True)
        views = f"_v{options.cached_targets}" if options.cached_targets else ""
        schedule = f"w{options.warmup_epochs}_e{options.epochs}{views}_{Path(options.encoder).stem}"
        # Results of other settings have other names.
        self.taught = f"{options.scenario}_{options.teacher}_e{options.teacher_epochs}_s{options.seed}"
        self.pair = f"{self.taught}_{options.student}_{schedule}"
        folder = {"folder": options.data, "channels": None, "class_names": None}
        self.data = DataConfig.model_validate({**parameters(options.scenario, "data"), **folder})
        # A state of its own for every pair.
        states = str(self.out / "resume" / self.pair)
        self.runtime = runtime(device=options.device, memory_gib=16, resume="auto", resume_folder=states)
        distillation = parameters(options.scenario, "distill")
        distillation |= {"warmup_epochs": options.warmup_epochs, "epochs": options.epochs}
        distillation["student"] |= {"architecture": options.student, "cached_targets": options.cached_targets}
        self.distillation = DistillConfig.model_validate(distillation)
        self.device = resolve_device(self.runtime)
        self.reporter = Terminal(interval=20)

    def once(self, name: str, part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What the part found, now or in an earlier call, and the seconds of all calls that it took."""
        file, spent = self.out / f"{name}.json", self.out / f"{name}.seconds"
        if not file.exists():
            before, began = float(spent.read_text()) if spent.exists() else 0.0, time.monotonic()
            try:
                found = {"device": self.name, "torch": torch.__version__, "seed": self.options.seed, **part()}
            finally:
                spent.write_text(str(before + time.monotonic() - began))
            found["wall_seconds"] = float(spent.read_text())
            write_atomically(file, lambda part: part.write_text(json.dumps(found, indent=1) + "\n"))
        result: dict[str, Any] = json.loads(file.read_text())
        return result

    @property
    def name(self) -> str:
        """Of the device."""
        return torch.cuda.get_device_name() if self.device.type == "cuda" else self.device.type

    def resume(self, stage: str, fingerprint: Mapping[str, Any]) -> ResumePoint:
        """Where a stage goes on."""
        return ResumePoint(self.runtime, stage, fingerprint, self.reporter)

    def teacher(self) -> Classifier:
        """Trained once by the scenario's recipe, with `--teacher-epochs`."""
        file = self.out / f"teacher_{self.taught}.safetensors"

        def fit() -> dict[str, Any]:
            recipe = parameters(self.options.scenario, "teacher")["training"]
            config = TrainingConfig.model_validate({**recipe, "epochs": self.options.teacher_epochs})
            real = datasets.load(self.data)
            torch.manual_seed(self.options.seed)
            teacher = Classifier.build(self.options.teacher, real.class_names, real.spec)
            made_by = {"config": config.model_dump(), "network": self.options.teacher, "seed": self.options.seed}
            resume = self.resume("teacher", made_by)
            history, seconds = train(teacher, real.train, real.validation, config, self.runtime, resume, self.reporter)
            teacher.cpu().save(file)
            resume.discard()
            return {"seconds": seconds, "epochs": config.epochs, "validation": history[-1]["validation_accuracy"]}

        self.once(f"teacher_{self.taught}", fit)
        return freeze(Classifier.load(file))

    def embeddings(self, teacher: Classifier) -> LabelEmbeddings:
        """Of the class names, made once: another processor rounds them differently, and no state would fit."""
        file = self.out / f"embeddings_{self.pair}.safetensors"
        if not file.exists():
            lte = {**parameters(self.options.scenario, "lte"), "encoder": self.options.encoder}
            embed_labels(LteConfig.model_validate(lte), teacher.class_names, self.options.seed).save(file)
        return LabelEmbeddings.load(file)

    def rates(self) -> dict[str, Any]:
        """Step times with random weights, and what share of the device's own matmul rate they reach."""
        spec, names = datasets.load(self.data).spec, datasets.class_names(self.data)
        teacher = freeze(Classifier.build(self.options.teacher, names, spec))
        table = LabelEmbeddings(torch.randn(len(names), 384), names, "random", "", "unused")
        short = self.distillation.synthesis.model_copy(update={"steps": ROUNDS})
        config = self.distillation.model_copy(update={"synthesis": short, "memory": 20 * short.batch_size})
        # Not compiled: FLOPs are counted operation by operation.
        eager = self.runtime.model_copy(update={"compile": False})
        planned = plan(teacher, table, config, eager, self.options.seed)
        state = build(planned)
        state.method.start_epoch(config.warmup_epochs)

        def synthesis() -> None:
            made = state.method.step(state.trainer.student)
            state.targets.add(made.images, made.labels)

        def distillation() -> None:
            for _ in range(ROUNDS):
                state.learn(config.student)

        peak = self.matmul_rate(torch.bfloat16 if planned.precision == "bf16" else torch.float32)
        found: dict[str, Any] = {"matmul_tflops": peak}
        for name, steps in (("synthesis", synthesis), ("distillation", distillation)):
            steps()
            with FlopCounterMode(display=False) as counter:
                steps()
            seconds = median(self.seconds(steps) for _ in range(3))
            rate = counter.get_total_flops() / seconds / 1e12
            found |= {f"{name}_step_seconds": seconds / ROUNDS, f"{name}_tflops": rate, f"{name}_share": rate / peak}
        return found

    def matmul_rate(self, dtype: torch.dtype) -> float:
        """TFLOP/s of a large matrix product in the run's precision: a CPU without bf16 takes minutes for one in it."""
        size = MATRIX if self.device.type != "cpu" else MATRIX // 4
        a = torch.randn(size, size, device=self.device, dtype=dtype)
        a @ a
        return 2 * size**3 / median(self.seconds(lambda: a @ a) for _ in range(ROUNDS)) / 1e12

    def seconds(self, work: Callable[[], object]) -> float:
        """Until the device has done it."""
        seconds_to_synchronize(self.device)
        began = time.perf_counter()
        work()
        seconds_to_synchronize(self.device)
        return time.perf_counter() - began

    @property
    def student(self) -> Path:
        """Where it lies."""
        return self.out / f"student_{self.pair}.safetensors"

    def distilled(self) -> dict[str, Any]:
        """The student of the last epoch; `seconds` are those of the loops, without estimate and checkpoints."""
        teacher = self.teacher()
        planned = plan(teacher, self.embeddings(teacher), self.distillation, self.runtime, self.options.seed)
        resume = self.resume("distill", planned.fingerprint)
        found = distill(planned, resume, self.reporter)
        found.student.cpu().save(self.student)
        resume.discard()
        return {"seconds": sum(found.seconds.values()), **found.seconds}

    def tested(self) -> dict[str, Any]:
        """Both on the test images."""
        test = datasets.load(self.data).test
        models = {"teacher": self.teacher(), "student": Classifier.load(self.student)}
        return {name: accuracy(model, test, self.device) for name, model in models.items()}


def interrupt(number: int, _: object) -> None:
    """What has no state of its own is done again by the next call."""
    raise Interrupted("time is up", number)


def table(benchmark: Benchmark) -> str:
    """All that was found so far, and what this pair took from the first real image to the tested student."""
    lines = ["| part | figure | value |", "|---|---|---|"]
    found = {file.stem: json.loads(file.read_text()) for file in sorted(benchmark.out.glob("*.json"))}
    lines += [f"| {part} | {name} | {value} |" for part, values in found.items() for name, value in values.items()]
    whole = [f"teacher_{benchmark.taught}", f"distilled_{benchmark.pair}", f"tested_{benchmark.pair}"]
    if all(part in found for part in whole):
        seconds = sum(found[part]["wall_seconds"] for part in whole)
        lines.append(f"| {benchmark.pair} | end to end, wall seconds of all calls | {seconds:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="NAYER on one accelerator.")
    parser.add_argument("--scenario", default="cifar10")
    parser.add_argument("--teacher", default="wrn-40-2")
    parser.add_argument("--student", default="wrn-16-1")
    parser.add_argument("--teacher-epochs", type=int, default=200)
    parser.add_argument("--warmup-epochs", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--cached-targets", type=int)
    parser.add_argument("--encoder", default="minilm", help="as lte.encoder: minilm, a folder, a table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data", default=str(PROJECT / "data" / "01_raw"))
    parser.add_argument("--out", default=str(PROJECT / "data" / "benchmark"))
    parser.add_argument("--minutes", type=float, default=9)
    options = parser.parse_args()
    benchmark = Benchmark(options)
    signal.signal(signal.SIGTERM, interrupt)
    alarm = threading.Timer(60 * options.minutes, os.kill, (os.getpid(), signal.SIGTERM))
    alarm.daemon = True
    alarm.start()
    try:
        benchmark.once(f"rates_{benchmark.pair}", benchmark.rates)
        benchmark.teacher()
        benchmark.once(f"distilled_{benchmark.pair}", benchmark.distilled)
        benchmark.once(f"tested_{benchmark.pair}", benchmark.tested)
    except Interrupted:
        click.echo("unfinished: the same command goes on")
        raise SystemExit(UNFINISHED) from None
    finally:
        alarm.cancel()
        click.echo(table(benchmark))


if __name__ == "__main__":
    main()
