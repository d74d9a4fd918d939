"""The DVC pipeline files say the same as Kedro and the code: a side that moves alone fails here."""

from pathlib import Path

import grimp
import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.framework.startup import bootstrap_project

from nayer import settings
from nayer.cli import scenarios
from nayer.pipeline_registry import CHAIN
from nayer.scenarios import pipeline_file, stages

PROJECT = Path(__file__).parents[2]
# What a stage reaches and what yet changes no result: it words errors, reports, keeps, estimates, names files.
NEUTRAL = (
    "nayer.hub",
    "nayer.errors",
    "nayer.files",
    "nayer.mlops",
    "nayer.training.estimate",
    "nayer.training.reporting",
    "nayer.training.resume",
)


@pytest.fixture(scope="module", autouse=True)
def project() -> None:
    bootstrap_project(PROJECT)


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("nayer")


@pytest.mark.parametrize("scenario", [name for name in scenarios(PROJECT) if pipeline_file(PROJECT, name).is_file()])
def test_pipeline_files_are_what_the_pipelines_give(scenario):
    found = pipeline_file(PROJECT, scenario).read_text()
    assert found == stages.render(PROJECT, scenario), f"type: make scenario NAME={scenario}"


@pytest.mark.parametrize("scenario", scenarios(PROJECT))
def test_every_scenario_has_a_pipeline_file_with_its_own_outputs_and_existing_parameters(scenario):
    described = yaml.safe_load(stages.render(PROJECT, scenario))["stages"]
    assert list(described) == list(CHAIN)
    for name, stage in described.items():
        assert stage["cmd"] == f"kedro run --env {scenario} --pipelines {name}"
        assert all(f"/{scenario}/" in out for out in stage["outs"])
        for entry in stage["params"]:
            for file, keys in entry.items():
                content = yaml.safe_load((PROJECT / file).read_text())
                assert all(stages.has(content, key) for key in keys)


def test_stages_hand_on_to_each_other_by_files():
    described = yaml.safe_load(stages.render(PROJECT, "digits"))["stages"]
    made: set[str] = set()
    for name in CHAIN:
        needed = {path for path in described[name]["deps"] if path.startswith("data/")}
        assert needed <= made, f"{name} needs what no stage before it makes"
        made |= set(described[name]["outs"])


def test_raw_data_is_a_dependency_of_those_that_read_it_and_of_no_other():
    described = yaml.safe_load(stages.render(PROJECT, "fashion_mnist"))["stages"]
    raw = "data/01_raw/FashionMNIST/raw"
    assert [name for name in CHAIN if raw in described[name]["deps"]] == ["teacher", "evaluate"]


def test_a_table_and_networks_of_ones_own_are_dependencies_of_those_that_read_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("table.safetensors", "mine.py", "names.txt"):
        (tmp_path / name).touch()
    read = OmegaConfigLoader(str(PROJECT / "conf"), env="digits", **settings.CONFIG_LOADER_ARGS)["parameters"]
    read["lte"]["encoder"], read["data"]["class_names"] = "table.safetensors", "names.txt"
    read["teacher"]["architecture"] = "mine:SmallNet"
    read["distill"]["student"]["architecture"] = "torchvision:resnet18"
    found = {name: {str(path) for path in stages.raw_inputs(name, read)} for name in CHAIN}
    assert found == {
        "lte": {"table.safetensors", "names.txt"},
        "teacher": {"mine.py", "names.txt"},
        "distill": {"mine.py"},
        "evaluate": {"mine.py", "names.txt"},
    }


def test_a_parameter_is_tracked_only_in_files_that_state_it():
    assert stages.has({"runtime": {"precision": "fp32"}}, "runtime.precision")
    assert not stages.has({"runtime": {"threads": 2}}, "runtime.precision")
    assert not stages.has({"runtime": None}, "runtime.precision")


@pytest.mark.parametrize("stage", CHAIN)
def test_code_dependencies_are_those_that_the_stage_imports(stage, imports):
    reached = imports.find_upstream_modules(f"nayer.pipelines.{stage}.nodes")
    declared = [PROJECT / "src" / "nayer" / part for part in stages.CODE[stage]]
    assert all(path.exists() for path in declared)
    for module in reached:
        file = PROJECT / "src" / Path(*module.split("."))
        covered = any(file.with_suffix(".py") == path or path in (file, *file.parents) for path in declared)
        package = file.is_dir()
        assert covered or package or module.startswith(NEUTRAL), f"{module} decides what {stage} computes"
