"""The DVC pipeline files agree with Kedro and the code: a change of one side alone fails here."""

from pathlib import Path

import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

from nayer.core.errors import InputError
from nayer.core.project import pipeline_file, scenarios
from nayer.distillation import plan as planning
from nayer.pipelines import CHAIN
from nayer.scenarios import dvc_file
from nayer.synthesis.registry import METHODS
from nayer.workflow.configuration import CONFIG_LOADER_ARGS
from nayer.workflow.parameters import Parameters

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def project() -> None:
    bootstrap_project(PROJECT)


@pytest.mark.parametrize("scenario", [name for name in scenarios(PROJECT) if pipeline_file(PROJECT, name).is_file()])
def test_pipeline_files_are_what_the_pipelines_give(scenario):
    found = pipeline_file(PROJECT, scenario).read_text()
    assert found == dvc_file.render(PROJECT, scenario), f"type: make scenario NAME={scenario}"


@pytest.mark.parametrize("scenario", scenarios(PROJECT))
def test_every_scenario_has_a_pipeline_file_with_its_own_outputs_and_existing_parameters(scenario):
    described = yaml.safe_load(dvc_file.render(PROJECT, scenario))["stages"]
    assert list(described) == list(CHAIN)
    for name, stage in described.items():
        assert stage["cmd"] == f"kedro run --env {scenario} --pipelines {name}"
        assert all(f"/{scenario}/" in out for out in stage["outs"])
        for entry in stage["params"]:
            for file, keys in entry.items():
                content = yaml.safe_load((PROJECT / file).read_text())
                assert all(dvc_file.has(content, key) for key in keys)


@pytest.mark.parametrize("scenario", scenarios(PROJECT))
def test_every_stage_tracks_the_seed_of_its_scenario(scenario):
    described = yaml.safe_load(dvc_file.render(PROJECT, scenario))["stages"]
    for stage in described.values():
        assert any("seed" in entry.get(f"conf/{scenario}/parameters.yml", ()) for entry in stage["params"])


@pytest.fixture
def mine(tmp_path):
    """Folder of a scenario in a project of its own, whose base has seed 7."""
    for name in ("base", "mine"):
        (tmp_path / "conf" / name).mkdir(parents=True)
    (tmp_path / "conf" / "base" / "parameters.yml").write_text("seed: 7\n")
    return tmp_path / "conf" / "mine"


@pytest.mark.parametrize("before", ["", "# mine\nruntime:\n  precision: fp32", "runtime: {precision: fp32}\n"])
def test_a_scenario_without_a_seed_gets_that_of_the_base_and_keeps_its_own_lines(before, mine, tmp_path):
    if before:
        (mine / "parameters.yml").write_text(before)
    for _ in range(2):
        dvc_file.state_seed(tmp_path, "mine")
        found = (mine / "parameters.yml").read_text()
        assert found.startswith(before)
        assert yaml.safe_load(found) == {**(yaml.safe_load(before) or {}), "seed": 7}


def test_a_scenario_keeps_the_seed_that_it_states_in_any_file(mine, tmp_path):
    (mine / "parameters_mine.yml").write_text("seed: 3\n")
    dvc_file.state_seed(tmp_path, "mine")
    assert [file.name for file in mine.iterdir()] == ["parameters_mine.yml"]


def test_a_file_that_takes_no_further_line_is_left_as_it_was(mine, tmp_path):
    (mine / "parameters.yml").write_text("{runtime: {precision: fp32}}\n")
    with pytest.raises(InputError, match=r"^seed: could not be added to conf/mine/par.* add 'seed: 7' to it"):
        dvc_file.state_seed(tmp_path, "mine")
    assert (mine / "parameters.yml").read_text() == "{runtime: {precision: fp32}}\n"


def test_a_scenario_asks_for_int8_by_parameters_of_its_own(tmp_path):
    assert dvc_file.asked_for(PROJECT, "digits") == []
    (tmp_path / "conf" / "mine").mkdir(parents=True)
    (tmp_path / "conf" / "mine" / "parameters_quantize.yml").write_text("quantize: {images: 64}")
    assert dvc_file.asked_for(tmp_path, "mine") == ["quantize"]


def test_stages_hand_on_to_each_other_by_files(monkeypatch):
    monkeypatch.setattr(dvc_file, "asked_for", lambda *_: ["quantize"])
    described = yaml.safe_load(dvc_file.render(PROJECT, "digits"))["stages"]
    made: set[str] = set()
    for name in (*CHAIN, "quantize"):
        needed = {path for path in described[name]["deps"] if path.startswith("data/")}
        assert needed <= made, f"{name} needs what no stage before it makes"
        made |= set(described[name]["outs"])


def test_raw_data_is_a_dependency_of_those_that_read_it_and_of_no_other():
    described = yaml.safe_load(dvc_file.render(PROJECT, "fashion_mnist"))["stages"]
    raw = "data/01_raw/FashionMNIST/raw"
    assert [name for name in CHAIN if raw in described[name]["deps"]] == ["teacher", "evaluate"]


def test_a_table_and_networks_of_ones_own_are_dependencies_of_those_that_read_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("table.safetensors", "mine.py", "names.txt"):
        (tmp_path / name).touch()
    read = OmegaConfigLoader(str(PROJECT / "conf"), env="digits", **CONFIG_LOADER_ARGS)["parameters"]
    read["lte"]["encoder"], read["data"]["class_names"] = "table.safetensors", "names.txt"
    read["teacher"]["architecture"] = "mine:SmallNet"
    read["distill"]["student"]["architecture"] = "torchvision:resnet18"
    parameters = Parameters.model_validate(read)
    found = {name: {str(path) for path in dvc_file.raw_inputs(name, parameters)} for name in CHAIN}
    assert found == {
        "lte": {"table.safetensors", "names.txt"},
        "teacher": {"mine.py", "names.txt"},
        "distill": {"mine.py"},
        "evaluate": {"mine.py", "names.txt"},
    }


def test_a_parameter_is_tracked_only_in_files_that_state_it():
    assert dvc_file.has({"runtime": {"precision": "fp32"}}, "runtime.precision")
    assert not dvc_file.has({"runtime": {"threads": 2}}, "runtime.precision")
    assert not dvc_file.has({"runtime": None}, "runtime.precision")


def code_behind(stage: str, method: str = "nayer") -> set[str]:
    inputs = pipelines[stage].inputs()
    config = METHODS[method].Config.model_construct(method=method)
    return {str(path.relative_to(PROJECT / "src" / "nayer")) for path in dvc_file.code_of(stage, inputs, config)}


def test_code_dependencies_are_what_the_stage_imports_at_any_distance():
    assert {"lte/encoders.py", "lte/text_models.py", "datasets/labels.py"} <= code_behind("lte")
    assert {"teachers/train.py", "models/wide_resnet.py", "engine/device.py"} <= code_behind("teacher")
    assert {"synthesis/parts/noisy_layer.py", "student/targets.py", "engine/compilation.py"} <= code_behind("distill")
    assert {"evaluation/metrics.py", "evaluation/baselines.py", "student/trainer.py"} <= code_behind("evaluate")
    assert "evaluation/report.html.j2" in code_behind("evaluate"), "a template makes the report"


@pytest.mark.parametrize("stage", ["distill", "evaluate"])
@pytest.mark.parametrize("method", METHODS)
def test_of_the_methods_the_chosen_one_alone_makes_a_student_stale(method, stage):
    """So a new method, which is another file and a line in the registry, makes no student stale."""
    found = code_behind(stage, method)
    assert "synthesis/registry.py" not in found
    assert {path for path in found if path.startswith("synthesis/methods/")} == {f"synthesis/methods/{method}.py"}


def test_the_parameters_of_the_gate_and_what_reports_to_mlflow_make_no_student_stale():
    assert not {
        path for path in code_behind("distill") if path.startswith(("mlops", "workflow", "evaluation", "datasets"))
    }


def test_a_kept_state_depends_on_the_same_code(make_plan, monkeypatch):
    asked = []
    monkeypatch.setattr(planning, "code_digest", lambda *roots, without: asked.append((roots, without)) or "digest")
    assert make_plan().fingerprint["code"] == "digest"
    assert asked == [(("nayer.distillation.loop", "nayer.synthesis.methods.nayer"), "nayer.synthesis.registry")]
