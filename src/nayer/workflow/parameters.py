"""The typed parameters of a run, assembled from those of its components."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from nayer.core.config import Config
from nayer.core.errors import InputError, shown, unknown, without_password
from nayer.datasets.config import DataConfig
from nayer.distillation.config import DistillConfig
from nayer.engine.config import RuntimeConfig
from nayer.evaluation.config import EvaluateConfig
from nayer.export.config import QuantizeConfig
from nayer.lte.config import LteConfig
from nayer.mlops.registry.config import PromoteConfig
from nayer.mlops.tracking.config import MlflowConfig
from nayer.synthesis.registry import METHODS
from nayer.teachers.config import TeacherConfig

RENAMED = {
    "distill.held_out": "distill.probe_images",
    "distill.student.kept_views": "distill.student.cached_targets",
    "distill.student.renewed_views": "distill.student.refreshed_targets",
}
"""Keys of earlier versions, with their current names."""


class Parameters(Config):
    """All parameters of a run, as Kedro merges them from `conf/base` and a scenario."""

    scenario: str
    seed: int
    runtime: RuntimeConfig
    data: DataConfig
    lte: LteConfig
    teacher: TeacherConfig
    distill: DistillConfig
    evaluate: EvaluateConfig
    quantize: QuantizeConfig
    promote: PromoteConfig


def groups() -> dict[str, type[Config]]:
    """Groups of parameters, by name."""
    kinds = {name: field.annotation for name, field in Parameters.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Config)}


def check_types(parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that are misspelt, missing, of the wrong type or out of range.

    Raises:
        InputError: one line per mistake, with key and value; an unknown group, `seed` or `scenario` is reported alone.
    """
    for key in parameters:
        if key not in Parameters.model_fields:
            raise unknown("parameters", str(key), Parameters.model_fields)
    seed, scenario = parameters.get("seed"), parameters.get("scenario")
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"seed: {shown(seed)} must be a whole number of at least 0 and less than 2**63.")
    if not isinstance(scenario, str) or not re.fullmatch(r"\w[\w.-]*", scenario):
        raise InputError(f"scenario: {shown(scenario)} must be the name of a folder of conf/, set in its globals.yml.")
    _check({name: (kind, parameters.get(name, {})) for name, kind in groups().items()})


def check_mlflow(settings: Mapping[str, Any]) -> None:
    """Refuse MLflow settings in the same way as `check_types` does parameters."""
    _check({"mlflow": (MlflowConfig, settings)})


def _check(groups: Mapping[str, tuple[type[Config], Any]]) -> None:
    complaints: dict[str, str] = {}
    for name, (kind, values) in groups.items():
        try:
            kind.model_validate(values)
        except ValidationError as error:
            for details in error.errors():
                key, complaint = _complaint(name, kind, details)
                complaints.setdefault(key, complaint)
    if complaints:
        raise InputError("\n".join(complaints.values()))


def _complaint(group: str, kind: type[Config], details: ErrorDetails) -> tuple[str, str]:
    """Key of one mistake, and a sentence about it; for a misspelt key it suggests the nearest valid one."""
    path = [group]
    for part in details["loc"]:
        # Pydantic also names the alternatives of a union, such as the methods, which are not keys.
        if isinstance(part, str) and part in kind.model_fields:
            kind = next(_groups_in(kind.model_fields[part].annotation), kind)
            path.append(part)
        elif isinstance(part, str) and part in METHODS:
            kind = METHODS[part].Config
        elif isinstance(part, int):
            path.append(str(part))
    key = ".".join(path)
    if details["type"] == "extra_forbidden":
        last = str(details["loc"][-1])
        old = f"{key}.{last}"
        if old in RENAMED:
            return old, f"{old}: is called {RENAMED[old]} now; rename it in conf/ or in --params."
        return old, str(unknown(key, last, kind.model_fields))
    if details["type"] == "union_tag_invalid":
        return key, str(unknown(f"{key}.method", without_password(str(details["ctx"]["tag"])), METHODS))
    if details["type"] == "union_tag_not_found":
        return key, f"{key}.method: is missing; set it in conf/."
    if details["type"] == "missing":
        return key, f"{key}: is missing; set it in conf/."
    return key, f"{key}: {shown(details['input'])} is refused. {details['msg']}; change it in conf/ or in --params."


def _groups_in(annotation: Any) -> Iterator[type[Config]]:
    """Groups of parameters that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for part in get_args(annotation):
        yield from _groups_in(part)
