"""The teachers of a study, each trained once and kept with its recipe."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from harness.locks import held
from harness.scenario import PROJECT, data_of, parameters, runtime
from nayer import datasets
from nayer.core.config import Config, Place
from nayer.core.errors import InputError
from nayer.core.files import digest, write_atomically
from nayer.engine import fingerprint
from nayer.engine.allocator import keep_freed_memory
from nayer.engine.progress import Reporter
from nayer.engine.resume import ResumePoint
from nayer.evaluation.cost import machine
from nayer.models.classifier import Classifier, freeze
from nayer.teachers.config import TRAIN, TeacherConfig
from nayer.teachers.pretrained import load_pretrained
from nayer.teachers.sources import SOURCES, describe
from nayer.teachers.train import train

KINDS = ("convnext", "resnet", "swin", "vit")
SCRIPT = PROJECT / "benchmarks" / "transformers_teacher.py"


class TeacherSpec(Config):
    """A teacher by the recipe of its scenario with some changes, or by a script, like a teacher that users bring."""

    scenario: str
    architecture: Place
    """One of KINDS is trained by benchmarks/transformers_teacher.py, and loaded as any user's own teacher."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Changes to the scenario's recipe; chosen on validation images."""
    seed: int | None = 0
    """Seed of the training; null gives each run a teacher trained with the run's seed."""


def recipe(spec: TeacherSpec) -> dict[str, Any]:
    """Everything that determines the trained teacher."""
    said = {"scenario": spec.scenario, "seed": spec.seed}
    if spec.architecture in KINDS:
        return {"script": SCRIPT.name, "architecture": spec.architecture, "training": spec.training, **said}
    return {**trained_by(spec).model_dump(mode="json"), **said}


def trained_by(spec: TeacherSpec) -> TeacherConfig:
    """Configuration of a teacher that this project trains itself."""
    of_scenario = parameters(spec.scenario, "teacher")
    training = {**of_scenario["training"], **spec.training}
    return TeacherConfig.model_validate(
        {**of_scenario, "source": TRAIN, "architecture": spec.architecture, "training": training}
    )


def train_once(name: str, spec: TeacherSpec, folder: Path, resume: Path, reporter: Reporter) -> Classifier:
    """The teacher in `folder`, trained first if it is not there; a stopped training goes on from `resume`.

    Raises:
        InputError: the teacher in `folder` was made by another recipe.
    """
    file, record, made_by = folder / f"{name}.safetensors", folder / f"{name}.json", recipe(spec)
    with held(resume.with_suffix(".lock"), f"Another process trains {name}; waiting for it.", reporter):
        if not record.exists():
            make = bring if spec.architecture in KINDS else train_here
            teacher, found = make(spec, resume, reporter)
            teacher.cpu().save(file)
            found = {"recipe": made_by, **found, "sha256": digest(file), "machine": machine()}
            write_atomically(record, lambda part: part.write_text(json.dumps(found, indent=1) + "\n"))
            shutil.rmtree(resume, ignore_errors=True)
    if json.loads(record.read_text())["recipe"] != made_by:
        raise InputError(f"teachers.{name}: '{file}' was made by another recipe; give the new one another name.")
    return freeze(Classifier.load(file))


def train_here(spec: TeacherSpec, resume: Path, reporter: Reporter) -> tuple[Classifier, dict[str, Any]]:
    """Train by the scenario's recipe; returns the teacher with its validation accuracy and the seconds.

    The teacher is the pipeline's, byte for byte, but needs no Kedro and MLflow, which a GPU machine may lack.
    """
    config, data, seed = trained_by(spec), data_of(spec.scenario), spec.seed or 0
    assert config.training is not None  # noqa: S101 (TRAIN has a recipe)
    keep_freed_memory()
    real = datasets.load(data)
    torch.manual_seed(seed)
    teacher = Classifier.build(config.architecture, real.class_names, real.spec)
    teacher.provenance = {"stage": "teacher", "dataset": data.dataset, "seed": seed}
    settings = runtime(resume="auto", resume_folder=str(resume))
    identity = {"recipe": recipe(spec), "data": data.model_dump(), "code": fingerprint.code_digest(train.__module__)}
    kept = ResumePoint(settings, "teacher", identity, reporter)
    history, seconds = train(teacher, real.train, real.validation, config.training, settings, kept, reporter)
    return teacher, {"validation_accuracy": history[-1]["validation_accuracy"], "seconds": seconds}


def bring(spec: TeacherSpec, resume: Path, reporter: Reporter) -> tuple[Classifier, dict[str, Any]]:
    """Train by the script, then load the teacher from its folder like any user's; returns the same as `train_here`."""
    reporter.say(f"{SCRIPT.name} trains a {spec.architecture} on {spec.scenario}.")
    options = [f"--{key}={value}" for key, value in {**spec.training, "seed": spec.seed or 0}.items()]
    data = data_of(spec.scenario)
    command = [spec.architecture, spec.scenario, str(resume), "--folder", str(data.folder), *options]
    began = time.monotonic()
    subprocess.run([sys.executable, str(SCRIPT), *command], check=True)
    source, about = describe(f"transformers:{resume}", SOURCES)
    own = {"source": source, "weights": about.weights, "architecture": about.architecture, "training": None}
    values = {**parameters(spec.scenario, "teacher"), **own}
    values["normalisation"] = {"mean": list(about.mean or ()), "std": list(about.std or ())}
    teacher = load_pretrained(TeacherConfig.model_validate(values), data)
    said = json.loads((resume / "training.json").read_text())
    return teacher, {"validation_accuracy": said["validation_accuracy"], "seconds": time.monotonic() - began}
