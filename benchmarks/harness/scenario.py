"""The parameters of a scenario, read without Kedro."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from nayer.datasets.config import DataConfig
from nayer.engine.config import RuntimeConfig

PROJECT = Path(__file__).parents[2]


def parameters(scenario: str, group: str) -> dict[str, Any]:
    """One group of parameters, as a run of the scenario would have it."""
    files = [PROJECT / "conf" / part / f"parameters_{group}.yml" for part in ("base", scenario)]
    merged: Any = OmegaConf.to_container(OmegaConf.merge(*(OmegaConf.load(file) for file in files)))
    values: dict[str, Any] = merged[group]
    return values


def runtime(**changes: Any) -> RuntimeConfig:
    """Runtime settings of conf/base with these changes, for one process that keeps no state."""
    found: Any = OmegaConf.to_container(OmegaConf.load(PROJECT / "conf" / "base" / "parameters.yml"), resolve=False)
    return RuntimeConfig.model_validate({**found["runtime"], "resume": "never", "resume_folder": "", **changes})


def data_of(scenario: str) -> DataConfig:
    """Configuration of the scenario's real data, in this project's folder."""
    folder = {"folder": str(PROJECT / "data" / "01_raw"), "channels": None, "class_names": None}
    return DataConfig.model_validate({**parameters(scenario, "data"), **folder})
