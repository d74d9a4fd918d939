"""The DVC pipeline files say the same as Kedro and the code: a side that moves alone fails here."""

from pathlib import Path

import grimp
import pytest
import yaml
from kedro.framework.startup import bootstrap_project

from nayer.cli import scenarios
from nayer.pipeline_registry import CHAIN
from nayer.scenarios import stages

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


def test_committed_pipeline_file_is_what_the_pipelines_give():
    assert (PROJECT / "dvc.yaml").read_text() == stages.render(PROJECT, "digits"), "type: make scenario NAME=digits"


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
                assert all(key.split(".")[0] in content for key in keys)


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
