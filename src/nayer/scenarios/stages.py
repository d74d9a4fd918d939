"""The DVC pipeline file of a scenario: one stage per pipeline, its files and parameters as Kedro knows them.

Only what Kedro cannot know is said here: which code decides what a stage computes.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from nayer import datasets
from nayer.config import DataConfig, DistillConfig, LteConfig, TeacherConfig
from nayer.hooks import file_of
from nayer.models.architectures import own_code
from nayer.pipeline_registry import CHAIN
from nayer.scenarios import pipeline_file

# Relative to src/nayer. What only reports, keeps, estimates or words errors changes no result and is left out.
CODE = {
    "lte": ("config.py", "datasets", "images.py", "lte", "pipelines/lte"),
    "teacher": (
        "config.py",
        "datasets",
        "images.py",
        "models",
        "pipelines/teacher",
        "ranks.py",
        "training/device.py",
        "training/divergence.py",
        "training/existing.py",
        "training/supervised.py",
    ),
    "distill": (
        "config.py",
        "images.py",
        "lte/embeddings.py",
        "models",
        "pipelines/distill",
        "ranks.py",
        "synthesis",
        "training/alike.py",
        "training/device.py",
        "training/divergence.py",
        "training/distillation.py",
        "training/distillation_setup.py",
        "training/health.py",
        "training/launch.py",
        "training/student.py",
        "training/views.py",
    ),
    "evaluate": (
        "config.py",
        "datasets",
        "evaluation",
        "images.py",
        "lte/embeddings.py",
        "models",
        "pipelines/evaluate",
        "ranks.py",
        "synthesis/losses.py",
        "synthesis/memory.py",
        "training/device.py",
        "training/student.py",
        "training/views.py",
    ),
}
# Of the machine's settings the precision changes what is learnt, and more of them in `distill`. The report
# repeats all parameters and the scenario's name; it is made again when one of its figures is.
TRACKED: dict[str, tuple[str, ...]] = {"runtime": ("runtime.precision",), "scenario": ()}
OF_DISTILL = ("runtime.compile", "runtime.processes", "runtime.machines")
METRICS = {"metrics"}
PLOTS = {
    "teacher_history": {"loss": ["loss"], "accuracy": ["train_accuracy", "validation_accuracy"]},
    "distill_history": {"synthesis": ["ce", "bn"], "student": ["kd_loss"], "agreement": ["agreement"]},
}
HEADER = "# Made by `make scenario NAME={scenario}` from the Kedro pipelines; do not edit.\n"


def render(project: Path, scenario: str) -> str:
    """The content of the pipeline file; the project must be bootstrapped."""
    session = KedroSession.create(project_path=project, env=scenario)
    with session:
        context = session.load_context()
        catalog = cast(DataCatalog, context.catalog)
        raw = {name: raw_inputs(name, context.params) for name in CHAIN}
    root = Path(os.path.relpath(project, pipeline_file(project, scenario).parent))
    stages = {name: stage(project, scenario, name, pipelines[name], catalog, raw[name], root) for name in CHAIN}
    content = {"stages": stages, "plots": plots(catalog, project, root)}
    return HEADER.format(scenario=scenario) + yaml.safe_dump(content, sort_keys=False, width=120)


def stage(
    project: Path, scenario: str, name: str, pipeline: Pipeline, catalog: DataCatalog, raw: list[Path], root: Path
) -> dict[str, Any]:
    """One stage; the bytes of all outputs are DVC's, those of metrics.json git's."""
    inputs, outputs = pipeline.inputs(), pipeline.all_outputs()
    deps = [*(f"src/nayer/{part}" for part in CODE[name]), "requirements.lock", *files(inputs, catalog, project)]
    deps += [relative(path, project) for path in raw]
    described = {
        "cmd": f"kedro run --env {scenario} --pipelines {name}",
        "wdir": str(root),
        "deps": sorted(deps),
        "params": tracked_parameters(project, scenario, name, inputs),
        "outs": files(outputs - METRICS, catalog, project),
    }
    if measured := files(outputs & METRICS, catalog, project):
        described["metrics"] = [{file: {"cache": False}} for file in measured]
    return described if root != Path() else {key: value for key, value in described.items() if key != "wdir"}


def raw_inputs(name: str, parameters: Mapping[str, Any]) -> list[Path]:
    """What a stage reads that no stage makes: data, class names, weights, a table, and networks of the user's own."""
    data, teacher = DataConfig.model_validate(parameters["data"]), TeacherConfig.model_validate(parameters["teacher"])
    student = DistillConfig.model_validate(parameters["distill"]).student
    found: list[Path | None] = []
    if name != "distill" and isinstance(data.class_names, str):
        found.append(Path(data.class_names))
    if name == "lte" and (encoder := Path(LteConfig.model_validate(parameters["lte"]).encoder)).exists():
        found.append(encoder)
    if name == "teacher" and teacher.source == "file" and teacher.weights:
        found.append(Path(teacher.weights))
    if name != "lte":
        found.append(own_code(teacher.architecture))
    if name in ("distill", "evaluate"):
        found.append(own_code(student.architecture))
    reads_names = name == "lte" and datasets.names_lie_in_files(data)
    if reads_names or name == "evaluate" or (name == "teacher" and teacher.source == "train"):
        found.append(datasets.files(data))
    return list(dict.fromkeys(path for path in found if path))


def files(names: Iterable[str], catalog: DataCatalog, project: Path) -> list[str]:
    """The files behind datasets, relative to the project."""
    return sorted(relative(path, project) for name in names if (path := file_of(catalog, name)))


def relative(path: Path, project: Path) -> str:
    """A path as a pipeline file says it; what lies outside of the project stays absolute."""
    return str(path.relative_to(project)) if path.is_relative_to(project) else str(path)


def tracked_parameters(project: Path, scenario: str, stage: str, inputs: Iterable[str]) -> list[dict[str, list[str]]]:
    """For every parameter file of base and scenario that has them, the parameters that the stage reads."""
    groups = sorted(name.removeprefix("params:").split(".")[0] for name in inputs if name.startswith("params:"))
    wanted = [key for name in groups for key in TRACKED.get(name, (name,))] + list(
        OF_DISTILL if stage == "distill" else ()
    )
    found = []
    for folder in ("base", scenario):
        for file in sorted((project / "conf" / folder).glob("parameters*.yml")):
            present = yaml.safe_load(file.read_text()) or {}
            if keys := [key for key in wanted if has(present, key)]:
                found.append({relative(file, project): keys})
    return found


def has(values: Any, key: str) -> bool:
    """Whether nested mappings hold a dotted key."""
    first, _, rest = key.partition(".")
    return isinstance(values, Mapping) and first in values and (not rest or has(values[first], rest))


def plots(catalog: DataCatalog, project: Path, root: Path) -> list[dict[str, Any]]:
    """Curves by epoch for `dvc plots show`."""
    return [
        {f"{history} {title}": {"x": "epoch", "y": {str(root / file): columns}}}
        for history, curves in PLOTS.items()
        for file in files([history], catalog, project)
        for title, columns in curves.items()
    ]
