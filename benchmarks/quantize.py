"""What INT8 loses, calibrated on synthetic images, on real ones and on noise, for the models of a study's runs.

    python benchmarks/study.py benchmarks/studies/scenarios.yml --only 'digits-*'
    python benchmarks/quantize.py benchmarks/studies/scenarios.yml --only 'digits-*'

A run that is in the table is not measured again; the page is made from the table.
"""

import argparse
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch
from harness.bench import TEACHERS
from harness.charts import losses_by_images
from harness.scenario import PROJECT, data_of
from harness.settings import Run, Study
from harness.templates import fill
from torch import Tensor

from nayer import datasets
from nayer.core.files import write_atomically
from nayer.datasets.base import RealData
from nayer.evaluation.cost import machine
from nayer.export.comparison import PRECISIONS, keeps, latencies
from nayer.export.int8 import choose, quantize
from nayer.export.onnx import to_onnx
from nayer.models.classifier import Classifier
from nayer.models.halves import HALF, half_of
from nayer.models.inference import predict
from nayer.synthesis.sample import SyntheticSample

COUNTS = (32, 128, 512, 1024)
SOURCES = ("synthetic", "real", "noise")
SAID = {"synthetic": "synthetic images", "real": "real training images", "noise": "noise"}
SEEDS = 3
# Number of images at which the goals are judged, as many as `quantize.images` takes.
GOAL_IMAGES = 512
# Networks that are to be measured; the page names those that are missing.
PLANNED = {
    "digits": ["wrn-10-1", "wrn-16-2"],
    "fashion_mnist": ["wrn-10-1", "wrn-16-1"],
    "cifar10": ["wrn-16-1", "wrn-40-2", "torchvision:resnet18"],
}
DATA = {"digits": "digits", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
RESULTS = PROJECT / "docs" / "results" / "quantize"
LATENCY_SECONDS = 2.0


def calibration_images(source: str, count: int, sample: SyntheticSample, real: RealData, seed: int) -> Tensor:
    """Images of a source to calibrate on, uint8 (count, C, H, W); real ones are training images."""
    if source == "synthetic":
        return choose(sample, count, real.class_names)
    draw = torch.Generator().manual_seed(seed)
    if source == "noise":
        return torch.randint(256, (count, *real.train.images.shape[1:]), dtype=torch.uint8, generator=draw)
    return real.train.images[torch.randperm(len(real.train), generator=draw)[:count]]


def measured(run: Run, study: Study, folder: Path, methods: list[str], test: bool) -> Iterator[dict[str, Any]]:
    """A row for each model, source, number of images and calibration method."""
    sample = SyntheticSample.load(folder / "sample.safetensors")
    real = datasets.load(data_of(study.scenario(run.pair)))
    judged = real.test if test else real.validation
    models = {
        "student": Classifier.load(folder / "student.safetensors"),
        "teacher": Classifier.load(TEACHERS / f"{study.teacher(run)[0]}.safetensors"),
    }
    says = predict(models["teacher"], judged.images, torch.device("cpu")).argmax(1)
    for name, model in models.items():
        fp32 = to_onnx(model)[0]
        fp32_says = fp32.predict(judged.images).argmax(1)
        times: dict[str, float] = {}
        for method, source, count in product(methods, SOURCES, COUNTS):
            images = calibration_images(source, min(count, len(sample.labels)), sample, real, run.seed)
            int8 = quantize(fp32, images, method)  # type: ignore[arg-type]
            found = keeps(fp32, int8, says, judged.images, judged.labels, fp32_says)
            if not times:
                taken = latencies(fp32, int8, judged.images[:64], LATENCY_SECONDS)
                times = {f"{each}_{key}": taken[each][key] for each in ("fp32", "int8") for key in taken[each]}
            figures = {f"{each}_{key}": value for each in ("fp32", "int8") for key, value in found[each].items()}
            click.echo(f"{run.key}, {name}, {method}, {len(images)} {source}: {found['loss_points']:+.2f} points lost")
            yield {
                "run": run.key,
                "scenario": study.scenario(run.pair),
                "model": name,
                "architecture": kind_of(model, models["teacher"]),
                "seed": run.seed,
                "judged_on": "test" if test else "validation",
                "calibration": method,
                "source": source,
                "images": len(images),
                **figures,
                **times,
                "processor": machine()["processor"],
            }


def kind_of(model: Classifier, teacher: Classifier) -> str:
    """A model's architecture without its configuration, or `half:` and the teacher's where it is half of that."""
    kind, configured, _ = model.architecture.partition("{")
    halved = configured and model is not teacher and model.architecture == half_of(teacher, HALF).architecture
    return f"{HALF}:{kind}" if halved else kind


def called(row: Mapping[Hashable, Any], teacher: str) -> str:
    """Name of a row's model, for a student with its teacher's architecture."""
    data, own = DATA.get(row["scenario"], row["scenario"]), row["architecture"]
    if row["model"] == "teacher" or not teacher:
        return f"{data}, {row['model']} {own}"
    return f"{data}, student {HALF if own == f'{HALF}:{teacher}' else own} of {teacher}"


@dataclass(frozen=True)
class Goal:
    """A goal for a model in INT8 that was calibrated on synthetic images."""

    name: str
    column: str
    """Column of the page's rows that is compared with the limit."""
    limit: float
    more: bool = False
    """Whether more than the limit is required; otherwise at most the limit."""
    form: str = "+.2f"

    @property
    def head(self) -> str:
        """Heading of its column on the page."""
        return f"{self.name} ({'>' if self.more else '≤'} {self.limit:g})"

    def reached(self, found: pd.Series) -> str:
        """The mean over runs, and whether it meets the goal."""
        met = found.mean() > self.limit if self.more else found.mean() <= self.limit
        return f"{spread(found, self.form)}, {'met' if met else 'missed'}{' so far' * (len(found) < SEEDS)}"


GOALS = (
    Goal("accuracy lost", "lost_top1", 0.5),
    Goal("extra loss over real images", "above_real", 0.3),
    Goal("INT8 file / fp32 file", "size", 0.3, form=".3f"),
    Goal("speed-up, 64 images", "speed", 1.0, more=True, form=".2f"),
)


class Page:
    """The table as Markdown and a figure: points that INT8 lies below fp32, mean and deviation over seeds."""

    def __init__(self, rows: pd.DataFrame) -> None:
        rows = rows[rows["judged_on"] == "test"].copy()
        for key in ("top1", "agreement"):
            rows[f"lost_{key}"] = 100 * (rows[f"fp32_{key}"] - rows[f"int8_{key}"])
        # The nearest of COUNTS, as there may have been fewer images than asked for.
        rows["asked"] = [min((abs(count - there), count) for count in COUNTS)[1] for there in rows["images"]]
        of_teachers = rows[rows["model"] == "teacher"]
        teachers = dict(zip(of_teachers["run"], of_teachers["architecture"], strict=True))
        rows["name"] = [called(row, teachers.get(row["run"], "")) for row in rows.to_dict("records")]
        asked = ["run", "model", "calibration", "asked"]
        with_real = rows[rows["source"] == "real"].set_index(asked)["lost_top1"].rename("lost_with_real")
        self.rows = rows = rows.join(with_real, on=asked)
        rows["above_real"] = rows["lost_top1"] - rows["lost_with_real"]
        rows["size"] = rows["int8_file_bytes"] / rows["fp32_file_bytes"]
        rows["speed"] = rows["fp32_latency_ms_batch_64"] / rows["int8_latency_ms_batch_64"]
        self.models = {str(name): part for name, part in rows.groupby("name", sort=False)}

    def text(self) -> str:
        """Text of the page."""
        return fill(
            PROJECT / "benchmarks" / "studies" / "quantize.md.j2",
            head=" | ".join(goal.head for goal in GOALS),
            goals=[*self.goals(), *self.not_run()],
            goal_images=GOAL_IMAGES,
            seeds=SEEDS,
            files=list(self.files()),
            lost=list(self.lost()),
            teachers=self.lost_by_teachers("cifar10"),
        )

    def goals(self) -> Iterator[list[Any]]:
        """Row of each model: what it reaches of each goal, and beside that what noise loses."""
        for name, part in self.models.items():
            there = part[part["asked"] == GOAL_IMAGES]
            synthetic, noise = (there[there["source"] == source] for source in ("synthetic", "noise"))
            found = [goal.reached(synthetic[goal.column]) for goal in GOALS]
            yield [name, len(synthetic), *found, spread(noise["lost_top1"])]

    def not_run(self) -> Iterator[list[Any]]:
        """Row of each planned network that is not in the table."""
        for scenario, architectures in PLANNED.items():
            ran = set(self.rows.loc[self.rows["scenario"] == scenario, "architecture"])
            for architecture in architectures:
                if architecture not in ran:
                    yield [f"{DATA[scenario]} {architecture}", 0, *[""] * (len(GOALS) + 1)]

    def files(self) -> Iterator[list[Any]]:
        """Row of each model: file sizes, latencies and the processors on which it ran."""
        for name, part in self.models.items():
            mean = part.select_dtypes("number").mean()
            size = [mean[f"{each}_file_bytes"] / 1024 for each in PRECISIONS]
            times = [mean[f"{each}_latency_ms_batch_{count}"] for count in (1, 64) for each in PRECISIONS]
            shown = [*(f"{each:,.0f}" for each in size), f"{size[1] / size[0]:.3f}", *(f"{each:.3g}" for each in times)]
            processors = ", ".join(sorted(set(part["processor"])))
            yield [name, f"{100 * mean['fp32_top1']:.2f}", *shown, processors.replace("(R)", "")]

    def lost(self) -> Iterator[list[Any]]:
        """Points that each model loses, by number of images and by source."""
        for name, part in self.models.items():
            for count, group in part.groupby("asked"):
                by_source = [group[group["source"] == source] for source in SOURCES]
                shown = [spread(each[f"lost_{key}"]) for key in ("top1", "agreement") for each in by_source]
                yield [name, count, len(by_source[0]), *shown]

    def lost_by_teachers(self, scenario: str) -> list[str]:
        """Least and most agreement that a scenario's teachers lose, over all means with images that are not noise."""
        rows = self.rows
        chosen = rows[(rows["scenario"] == scenario) & (rows["model"] == "teacher") & (rows["source"] != "noise")]
        means = chosen.groupby(["architecture", "source", "asked"])["lost_agreement"].mean()
        return [f"{each:.2f}" for each in (means.min(), means.max())] if len(means) else []

    def write(self) -> None:
        """Write page and figure anew."""
        losses_by_images(self.models, SAID, GOALS[0].limit).savefig(RESULTS / "lost.png", dpi=110)
        text = self.text()
        write_atomically(RESULTS.with_suffix(".md"), lambda part: part.write_text(text))


def spread(found: pd.Series, form: str = "+.2f") -> str:
    """Mean and, of several runs, deviation, as text."""
    return f"{found.mean():{form}}" + (f" ({found.std():{form.lstrip('+')}})" if len(found) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description="INT8 by where its calibration images come from.")
    parser.add_argument("study", type=Path)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="of the runs' names")
    parser.add_argument("--folder", type=Path, default=PROJECT / "data" / "studies", help="where the runs lie")
    parser.add_argument("--calibration", nargs="+", default=["minmax"])
    parser.add_argument("--validation", action="store_true", help="judge on validation images, to choose by")
    options = parser.parse_args()
    study = Study.read(options.study)
    table = RESULTS / "runs.csv"
    known = pd.read_csv(table) if table.exists() else pd.DataFrame({"run": [], "judged_on": []})
    judged_on = "validation" if options.validation else "test"
    done = set(known[known["judged_on"] == judged_on]["run"])
    runs = [run for run in study.runs() if fnmatch(run.key, options.only) and run.key not in done]
    for run in runs:
        folder = options.folder / study.name / "runs" / run.key
        if not (folder / "student.safetensors").exists():
            click.echo(f"{run.key}: not run yet; python benchmarks/study.py {options.study} --only '{run.key}'")
            continue
        new = pd.DataFrame(measured(run, study, folder, options.calibration, not options.validation))
        known = pd.concat([known, new], ignore_index=True)
        write_atomically(table, partial(known.to_csv, index=False, float_format="%.6g"))
    Page(known).write()
    click.echo(f"Next: {RESULTS.with_suffix('.md').relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
