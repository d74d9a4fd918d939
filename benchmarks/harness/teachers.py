"""The teachers of a study, each trained once and kept with what made it."""

import json
import shutil
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.scenario import data_of, parameters, runtime
from nayer.core.config import Config, Place
from nayer.core.errors import InputError
from nayer.core.files import digest, write_atomically
from nayer.engine.progress import Reporter
from nayer.evaluation.cost import machine
from nayer.models.classifier import Classifier, freeze
from nayer.pipelines.teacher.nodes import train_teacher
from nayer.teachers.config import TRAIN, TeacherConfig


class TeacherSpec(Config):
    """A teacher by the recipe of its scenario, and what of that it changes."""

    scenario: str
    architecture: Place
    training: dict[str, Any] = Field(default_factory=dict)
    """What differs from the scenario's recipe; chosen on validation images."""
    seed: int | None = 0
    """null: each run has a teacher of its own seed."""


def recipe(spec: TeacherSpec) -> TeacherConfig:
    """The whole recipe."""
    of_scenario = parameters(spec.scenario, "teacher")
    training = {**of_scenario["training"], **spec.training}
    return TeacherConfig.model_validate(
        {**of_scenario, "source": TRAIN, "architecture": spec.architecture, "training": training}
    )


def train_once(name: str, spec: TeacherSpec, folder: Path, resume: Path, reporter: Reporter) -> Classifier:
    """The teacher in `folder`, trained first if it is not there; a stopped training goes on from `resume`.

    Raises:
        InputError: the one that is there was made by another recipe.
    """
    file, record, config = folder / f"{name}.safetensors", folder / f"{name}.json", recipe(spec)
    made_by = {**config.model_dump(mode="json"), "scenario": spec.scenario, "seed": spec.seed}
    if not record.exists():
        settings = runtime(resume="auto", resume_folder=str(resume))
        assert config.training is not None  # noqa: S101 (TRAIN has a recipe)
        teacher, history, cost = train_teacher(
            config, config.training, data_of(spec.scenario), settings, spec.seed or 0, reporter
        )
        teacher.cpu().save(file)
        found = {
            "recipe": made_by,
            "validation_accuracy": history["validation_accuracy"].iloc[-1],
            "seconds": cost["seconds"],
            "sha256": digest(file),
            "machine": machine(),
        }
        write_atomically(record, lambda part: part.write_text(json.dumps(found, indent=1) + "\n"))
        shutil.rmtree(settings.resume_folder, ignore_errors=True)
    if json.loads(record.read_text())["recipe"] != made_by:
        raise InputError(f"teachers.{name}: '{file}' was made by another recipe; give the new one another name.")
    return freeze(Classifier.load(file))
