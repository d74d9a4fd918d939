"""What INT8 loses, calibrated on synthetic images, on real ones, and on noise: of the models of a study's runs.

    python benchmarks/study.py benchmarks/studies/scenarios.yml --only 'digits-*'
    python benchmarks/quantize.py benchmarks/studies/scenarios.yml --only 'digits-*'

A run that is in the table is not measured again; the page is made from the table.
"""

import argparse
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import click
import pandas as pd
import torch
from harness.bench import TEACHERS
from harness.scenario import PROJECT, data_of
from harness.settings import Run, Study
from harness.templates import fill
from torch import Tensor

from nayer import datasets
from nayer.core.files import write_atomically
from nayer.datasets.base import RealData
from nayer.evaluation.cost import machine
from nayer.export.comparison import keeps, latencies
from nayer.export.int8 import choose, quantize
from nayer.export.onnx import to_onnx
from nayer.models.classifier import Classifier
from nayer.models.inference import predict
from nayer.synthesis.sample import SyntheticSample

COUNTS = (32, 128, 512, 1024)
SOURCES = ("synthetic", "real", "noise")
RESULTS = PROJECT / "docs" / "results" / "quantize"
LATENCY_SECONDS = 2.0


def calibration_images(source: str, count: int, sample: SyntheticSample, real: RealData, seed: int) -> Tensor:
    """So many uint8 images (count, C, H, W); real ones are training images."""
    if source == "synthetic":
        return choose(sample, count, real.class_names)
    draw = torch.Generator().manual_seed(seed)
    if source == "noise":
        return torch.randint(256, (count, *real.train.images.shape[1:]), dtype=torch.uint8, generator=draw)
    return real.train.images[torch.randperm(len(real.train), generator=draw)[:count]]


def measured(run: Run, study: Study, folder: Path, methods: list[str], test: bool) -> Iterator[dict[str, Any]]:
    """A row for each model, source, number of images and way of calibrating."""
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
        times: dict[str, float] = {}
        for method, source, count in product(methods, SOURCES, COUNTS):
            images = calibration_images(source, min(count, len(sample.labels)), sample, real, run.seed)
            int8 = quantize(fp32, images, method)  # type: ignore[arg-type]
            found = keeps(fp32, int8, says, judged.images, judged.labels)
            if not times:
                taken = latencies(fp32, int8, judged.images[:64], LATENCY_SECONDS)
                times = {f"{each}_{key}": taken[each][key] for each in ("fp32", "int8") for key in taken[each]}
            figures = {f"{each}_{key}": value for each in ("fp32", "int8") for key, value in found[each].items()}
            click.echo(f"{run.key}, {name}, {method}, {len(images)} {source}: {found['loss_points']:+.2f} points lost")
            yield {
                "run": run.key,
                "scenario": study.scenario(run.pair),
                "model": name,
                "architecture": model.architecture,
                "seed": run.seed,
                "judged_on": "test" if test else "validation",
                "calibration": method,
                "source": source,
                "images": len(images),
                **figures,
                **times,
                "processor": machine()["processor"],
            }


def page(rows: pd.DataFrame) -> str:
    """The table as Markdown: points that INT8 lies below fp32, mean and deviation over seeds."""
    rows = rows[rows["judged_on"] == "test"].copy()
    for key in ("top1", "agreement"):
        rows[f"lost_{key}"] = 100 * (rows[f"fp32_{key}"] - rows[f"int8_{key}"])
    # Where a data set has fewer images, all of it stands for the next larger number.
    rows["asked"] = [min((abs(count - there), count) for count in COUNTS)[1] for there in rows["images"]]
    of_teachers = rows[rows["model"] == "teacher"]
    teachers = dict(zip(of_teachers["run"], of_teachers["architecture"], strict=True))
    whose = zip(rows["run"], rows["model"], strict=True)
    rows["of"] = [f" of {teachers[run]}" if model == "student" else "" for run, model in whose]
    models, lost = [], []
    for (scenario, *network), part in rows.groupby(["scenario", "model", "architecture", "of"], sort=False):
        name, mean = f"{scenario}, {network[0]} {network[1]}{network[2]}", part.select_dtypes("number").mean()
        size = [mean[f"{each}_file_bytes"] / 1024 for each in ("fp32", "int8")]
        times = [mean[f"{each}_latency_ms_batch_{count}"] for count in (1, 64) for each in ("fp32", "int8")]
        shown = [*(f"{each:,.0f}" for each in size), f"{size[1] / size[0]:.3f}", *(f"{each:.3g}" for each in times)]
        models.append([name, f"{100 * mean['fp32_top1']:.2f}", *shown])
        for count, group in part.groupby("asked"):
            by_source = [group[group["source"] == source] for source in SOURCES]
            spread = [
                f"{each[f'lost_{key}'].mean():+.2f}" + f" ({each[f'lost_{key}'].std():.2f})" * (len(each) > 1)
                for key in ("top1", "agreement")
                for each in by_source
            ]
            lost.append([name, count, len(by_source[0]), *spread])
    return fill(
        PROJECT / "benchmarks" / "studies" / "quantize.md.j2",
        models=models,
        lost=lost,
        processors=sorted(set(rows["processor"])),
    )


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
    text = page(known)
    write_atomically(RESULTS.with_suffix(".md"), lambda part: part.write_text(text))
    click.echo(f"Next: {RESULTS.with_suffix('.md').relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
