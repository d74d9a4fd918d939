"""dvc.yaml says the same as Kedro about every stage: inputs, outputs, parameters."""

from pathlib import Path

import pytest
import yaml
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from nayer.hooks import file_of
from nayer.pipeline_registry import CHAIN

PROJECT = Path(__file__).parents[2]
STAGES = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
# Seconds and latencies: they differ from run to run, so nothing may depend on them.
NOT_REPRODUCIBLE = {"teacher_cost.json", "distill_cost.json"}


def files(entries: list) -> set[str]:
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}


@pytest.fixture(scope="module")
def kedro_files():
    """For every stage: files that its pipeline reads and writes, relative to the project."""
    from kedro.framework.project import pipelines

    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT, env="digits") as session:
        catalog = session.load_context().catalog

        def paths(names) -> set[str]:
            found = (file_of(catalog, name) for name in names)
            return {str(path.relative_to(PROJECT)) for path in found if path}

        return {name: (paths(pipelines[name].inputs()), paths(pipelines[name].outputs())) for name in CHAIN}


def test_there_is_one_stage_for_each_pipeline():
    assert set(STAGES) == set(CHAIN)


@pytest.mark.parametrize("stage", CHAIN)
def test_stage_reads_and_writes_what_its_pipeline_does(stage, kedro_files):
    inputs, outputs = kedro_files[stage]
    declared = files(STAGES[stage]["deps"])
    assert {path for path in inputs if Path(path).name not in NOT_REPRODUCIBLE} == {
        path for path in declared if path.startswith("data/")
    }
    assert outputs <= files(STAGES[stage]["outs"]) | files(STAGES[stage].get("metrics", []))
    assert all((PROJECT / path).exists() for path in declared if path.startswith("src/"))


@pytest.mark.parametrize("stage", CHAIN)
def test_stage_tracks_its_own_parameters(stage):
    tracked = {file: keys for entry in STAGES[stage]["params"] for file, keys in entry.items()}
    assert tracked[f"conf/base/parameters_{stage}.yml"] == [stage]
    assert tracked[f"conf/digits/parameters_{stage}.yml"] == [stage]
