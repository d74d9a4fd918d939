"""What a change of the recipe is worth: the student's accuracy on validation images, which no result is reported on.

    kedro run --env fashion_mnist --pipelines lte,teacher
    python benchmarks/validation.py fashion_mnist --seeds 0 1 2
    python benchmarks/validation.py fashion_mnist --changes student.cached_targets=null --seeds 0 1 2

Teacher and embeddings are those of the scenario's last run, the same for every seed. One thread by default, so that two
commands side by side do not disturb each other; seconds are of the processor.
"""

import argparse
import time
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory

import click
import torch
from harness.scenario import PROJECT, parameters, runtime
from omegaconf import OmegaConf

from nayer import datasets
from nayer.datasets.config import DataConfig
from nayer.distillation.config import DistillConfig
from nayer.distillation.loop import distill
from nayer.distillation.plan import plan
from nayer.engine.progress import Terminal
from nayer.engine.resume import ResumePoint
from nayer.lte.embeddings import LabelEmbeddings
from nayer.models.classifier import Classifier
from nayer.models.inference import accuracy


def changed(scenario: str, changes: list[str]) -> DistillConfig:
    """The scenario's distillation with `key=value` changes below `distill`."""
    merged = OmegaConf.merge(parameters(scenario, "distill"), OmegaConf.from_dotlist(changes))
    return DistillConfig.model_validate(OmegaConf.to_container(merged))


def made_by(scenario: str, layer: str, name: str) -> Path:
    """A file of the scenario's last run."""
    file = PROJECT / "data" / layer / scenario / name
    if not file.exists():
        raise SystemExit(f"'{file}' is missing: kedro run --env {scenario} --pipelines lte,teacher")
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description="Validation accuracy of a scenario's student.")
    parser.add_argument("scenario")
    parser.add_argument("--changes", nargs="*", default=[], metavar="KEY=VALUE", help="below distill")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    teacher = Classifier.load(made_by(options.scenario, "06_models", "teacher.safetensors"))
    table = LabelEmbeddings.load(made_by(options.scenario, "04_feature", "label_embeddings.safetensors"))
    config = changed(options.scenario, options.changes)
    folder = {"folder": str(PROJECT / "data" / "01_raw")}
    validation = datasets.load(DataConfig.model_validate({**parameters(options.scenario, "data"), **folder})).validation
    click.echo(f"| seed | validation accuracy, % (n = {len(validation):,}) | processor seconds |\n|---|---|---|")
    found = []
    for seed in options.seeds:
        began, reporter = time.process_time(), Terminal(interval=60)
        with TemporaryDirectory() as states:
            settings = runtime(threads=options.threads, resume_folder=states)
            planned = plan(teacher, table, config, settings, seed)
            resume = ResumePoint(settings, "distill", planned.fingerprint, reporter)
            student = distill(planned, resume, reporter).student
        seconds = time.process_time() - began
        found.append(100 * accuracy(student, validation, torch.device("cpu")))
        click.echo(f"| {seed} | {found[-1]:.2f} | {seconds:.0f} |")
    if len(found) > 1:
        click.echo(f"| mean (deviation) | {mean(found):.2f} ({stdev(found):.2f}) | |")


if __name__ == "__main__":
    main()
