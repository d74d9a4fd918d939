"""A context as Kedro gives it to hooks, a catalog of files, and the registered pipelines."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog
from kedro_datasets.json import JSONDataset

from nayer.workflow.configuration import CONFIG_LOADER_ARGS, ConfigLoader

PROJECT = Path(__file__).parents[4]


@pytest.fixture(scope="session", autouse=True)
def registered() -> None:
    bootstrap_project(PROJECT)


@pytest.fixture
def parameters(tmp_path) -> dict:
    found = ConfigLoader(str(PROJECT / "conf"), env="test", **CONFIG_LOADER_ARGS)["parameters"]
    found["runtime"]["resume_folder"] = str(tmp_path / "resume")
    return found


@pytest.fixture
def context(parameters, tmp_path, monkeypatch) -> SimpleNamespace:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    settings = {"tracking_uri": "sqlite:///mlflow.db", "experiment": "nayer"}
    loader = {"parameters": parameters, "mlflow": settings}
    return SimpleNamespace(project_path=tmp_path, config_loader=loader, params=parameters)


@pytest.fixture
def catalog(tmp_path) -> DataCatalog:
    """Inputs and outputs of distill and evaluate as files, in a folder that does not exist yet."""
    names = ("teacher", "label_embeddings", "student", "metrics", "report")
    return DataCatalog({name: JSONDataset(filepath=str(tmp_path / "out" / f"{name}.json")) for name in names})


@pytest.fixture
def pipeline():
    """A function that returns the nodes of some stages."""
    return lambda *stages: sum((pipelines[name] for name in stages[1:]), pipelines[stages[0]])
