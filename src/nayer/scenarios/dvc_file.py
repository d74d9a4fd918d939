"""The DVC pipeline file of a scenario: one stage per pipeline, with its files and parameters as Kedro knows them.

The code that a stage depends on is found by the import graph of its nodes, with only the chosen method: a new method,
or another wording of the gate, makes no student stale.
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
from nayer.core.errors import InputError
from nayer.core.files import write_atomically
from nayer.core.project import pipeline_file
from nayer.engine.fingerprint import code_behind
from nayer.models.architectures import own_code
from nayer.pipelines import CHAIN, ON_REQUEST
from nayer.synthesis import registry
from nayer.synthesis.method import SynthesisConfig
from nayer.teachers.config import TRAIN
from nayer.workflow.catalog import files_of
from nayer.workflow.parameters import Parameters

# Of the runtime parameters, precision changes what is learnt, and in `distill` so do those of OF_DISTILL. A report also
# repeats all parameters and the scenario's name, but is made again only when one of its figures is.
TRACKED: dict[str, tuple[str, ...]] = {"runtime": ("runtime.precision",), "scenario": ()}
OF_DISTILL = ("runtime.compile", "runtime.processes", "runtime.machines")
METRICS = {"metrics", "int8_metrics"}
PLOTS = {
    "teacher_history": {"loss": ["loss"], "accuracy": ["train_accuracy", "validation_accuracy"]},
    "distill_history": {"student": ["kd_loss"], "agreement": ["agreement"]},
}
HEADER = "# Made by `make scenario NAME={scenario}` from the Kedro pipelines; do not edit.\n"


def render(project: Path, scenario: str) -> str:
    """Content of the pipeline file; the project must be bootstrapped."""
    session = KedroSession.create(project_path=project, env=scenario)
    with session:
        context = session.load_context()
        catalog, parameters = cast(DataCatalog, context.catalog), Parameters.model_validate(context.params)
    root = Path(os.path.relpath(project, pipeline_file(project, scenario).parent))
    names = (*CHAIN, *asked_for(project, scenario))
    stages = {name: stage(project, scenario, name, catalog, parameters, root) for name in names}
    content = {"stages": stages, "plots": plots(catalog, project, root, parameters.distill.synthesis)}
    return HEADER.format(scenario=scenario) + yaml.safe_dump(content, sort_keys=False, width=120)


def state_seed(project: Path, scenario: str) -> None:
    """Give the scenario's files the seed of the base, unless they state one: DVC tracks only keys that a file states.

    Raises:
        InputError: the file cannot be added to, as it is not written in lines of keys.
    """
    file = project / "conf" / scenario / "parameters.yml"
    if any(has(yaml.safe_load(each.read_text()), "seed") for each in file.parent.glob("parameters*.yml")):
        return
    seed = yaml.safe_load((project / "conf" / "base" / "parameters.yml").read_text())["seed"]
    before = file.read_text().splitlines() if file.is_file() else []
    text = "\n".join([*before, f"seed: {seed}", ""])
    try:
        yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(
            f"seed: could not be added to {relative(file, project)}, which does not end in a line of keys; "
            f"add 'seed: {seed}' to it."
        ) from None
    write_atomically(file, lambda part: part.write_text(text))


def asked_for(project: Path, scenario: str) -> list[str]:
    """Pipelines on request for which the scenario has a parameter file of its own."""
    return [name for name in ON_REQUEST if (project / "conf" / scenario / f"parameters_{name}.yml").is_file()]


def stage(
    project: Path, scenario: str, name: str, catalog: DataCatalog, parameters: Parameters, root: Path
) -> dict[str, Any]:
    """One stage of the pipeline file; DVC stores all of its outputs."""
    pipeline: Pipeline = pipelines[name]
    inputs, outputs = pipeline.inputs(), pipeline.all_outputs()
    read = [*code_of(name, inputs, parameters.distill.synthesis), *raw_inputs(name, parameters)]
    lock = "requirements-all.lock" if name in ON_REQUEST else "requirements.lock"  # the former need an extra
    deps = {*(relative(path, project) for path in read), lock, *files(inputs, catalog, project)}
    described = {
        "cmd": f"kedro run --env {scenario} --pipelines {name}",
        "wdir": str(root),
        "deps": sorted(deps),
        "params": tracked_parameters(project, scenario, name, inputs),
        "outs": files(outputs - METRICS, catalog, project),
    }
    if measured := files(outputs & METRICS, catalog, project):
        described["metrics"] = measured
    return described if root != Path() else {key: value for key, value in described.items() if key != "wdir"}


def code_of(name: str, inputs: Iterable[str], synthesis: SynthesisConfig) -> list[Path]:
    """Source files behind the nodes of a stage, and templates beside them; of the methods, only the chosen one's."""
    chosen = [registry.method_of(synthesis).__module__] if "params:distill" in inputs else []
    wiring = [f"nayer.pipelines.{name}.{part}" for part in ("nodes", "pipeline")]
    code = code_behind(*wiring, *chosen, without=registry.__name__)
    return [*code, *(template for folder in {file.parent for file in code} for template in folder.glob("*.j2"))]


def raw_inputs(name: str, parameters: Parameters) -> list[Path]:
    """Inputs of a stage that no stage makes: data, class names, weights, a text encoder, the user's own networks."""
    data, teacher, student = parameters.data, parameters.teacher, parameters.distill.student
    found: list[Path] = []
    if name != "distill" and isinstance(data.class_names, str):
        found.append(Path(data.class_names))
    if name == "lte" and (encoder := Path(parameters.lte.encoder)).exists():
        found.append(encoder)
    if name == "teacher" and teacher.weights and teacher.source in ("file", "timm", "transformers"):
        weights = Path(teacher.weights)
        found += [weights] if teacher.source == "file" or weights.is_dir() else []
    if name != "lte":
        found += own_code(teacher.architecture)
    if name not in ("lte", "teacher"):
        found += own_code(student.architecture)
    reads_names = name == "lte" and datasets.names_lie_in_files(data)
    if reads_names or name in ("evaluate", "quantize") or (name == "teacher" and teacher.source == TRAIN):
        found += [place] if (place := datasets.files(data)) else []
    return found


def files(names: Iterable[str], catalog: DataCatalog, project: Path) -> list[str]:
    """Paths of the files behind datasets, relative to the project."""
    return sorted(relative(path, project) for path in files_of(catalog, names).values())


def relative(path: Path, project: Path) -> str:
    """Path relative to the project; one outside the project stays absolute."""
    return str(path.relative_to(project)) if path.is_relative_to(project) else str(path)


def tracked_parameters(project: Path, scenario: str, stage: str, inputs: Iterable[str]) -> list[dict[str, list[str]]]:
    """For every parameter file of base and scenario, those of its parameters that the stage reads, if any."""
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
    """Whether nested mappings contain a dotted key."""
    first, _, rest = key.partition(".")
    return isinstance(values, Mapping) and first in values and (not rest or has(values[first], rest))


def plots(catalog: DataCatalog, project: Path, root: Path, synthesis: SynthesisConfig) -> list[dict[str, Any]]:
    """Definitions of curves by epoch for `dvc plots show`."""
    terms = {"distill_history": {"synthesis": list(registry.method_of(synthesis).terms(synthesis))}}
    return [
        {f"{history} {title}": {"x": "epoch", "y": {str(root / file): columns}}}
        for history, curves in PLOTS.items()
        for file in files([history], catalog, project)
        for title, columns in (terms.get(history, {}) | curves).items()
    ]
