"""Configuration that Kedro cannot read or merge is reported by file, key and place; the rest is read once."""

from pathlib import Path
from typing import Any

import pytest
from kedro.config import MissingConfigException

from nayer.core.errors import InputError
from nayer.workflow import configuration
from nayer.workflow.configuration import CONFIG_LOADER_ARGS, ConfigLoader


def conf(folder: Path, **texts: str | bytes) -> Path:
    for part in ("base", "mine"):
        (folder / part).mkdir()
    (folder / "base" / "parameters.yml").write_text("distill: {student: {steps: 1}, betas: [1, 2]}")
    for name, text in texts.items():
        (folder / "mine" / f"{name}.yml").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def load(folder: Path, overrides: dict[str, Any] | None = None, kind: str = "parameters") -> dict[str, Any]:
    return ConfigLoader(str(folder), env="mine", runtime_params=overrides or {}, **CONFIG_LOADER_ARGS)[kind]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("distill: [1", r"parameters\.yml: not YAML \(line 1"),
        ("distill:\n\ta: 1", r"parameters\.yml: not YAML \(line 2: found character '.t'"),
        ("distill:\n  a: 1\n  a: 2", r"parameters\.yml: not YAML \(line 3: found duplicate key a"),
        ("a: 1\n---\nb: 2", r"parameters\.yml: not YAML \(line 2: but found another document"),
        ("distill: !!python/object/apply:os.abort []", r"parameters\.yml: not YAML \(line 1: could not determine"),
        ("distill: &a {b: *a}", r"parameters\.yml: not YAML \(maximum recursion depth"),
        (b"distill: \xff", r"parameters\.yml: not YAML \('utf-8' codec can't decode byte 0xff in position 9"),
        (b"a: \x00", r"parameters\.yml: not YAML \(unacceptable character #x0000"),
        ("- 1", r"parameters\.yml: holds no mapping"),
        ("- seed: 1", r"parameters\.yml: holds no mapping"),
        ("7", r"parameters\.yml: holds no mapping"),
        ("distill: [1]", r"distill: \[1\] is refused; give keys with values"),
        ("distill: {betas: {a: 1}}", r"distill\.betas: \{'a': 1\} is refused; give a list"),
        ("distill: {student: [1]}", r"distill\.student: \[1\] is refused"),
        (
            "distill: {epochs: '${nothing}'}",
            r"distill\.epochs: Interpolation key 'nothing' not found; correct it in conf/",
        ),
        ("distill: {epochs: '${globals:nothing}'}", r"distill\.epochs: Globals key 'nothing' not found"),
    ],
)
def test_a_file_that_cannot_be_read_or_merged_is_named(text, words, tmp_path):
    with pytest.raises(InputError, match=words) as caught:
        load(conf(tmp_path, parameters=text))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["globals", "mlflow", "catalog"])
@pytest.mark.parametrize("text", ["a: [1", "- 1", b"\xff"])
def test_files_of_other_kinds_are_named_too(text, kind, tmp_path):
    with pytest.raises(InputError, match=rf"mine/{kind}\.yml: (not YAML|holds no mapping)"):
        load(conf(tmp_path, **{kind: text}), kind=kind)


def test_a_key_that_is_no_text_is_named_with_its_file(tmp_path):
    with pytest.raises(InputError, match=r"catalog\.yml: the key 5 is not text; quote or correct it"):
        load(conf(tmp_path, catalog="5: {type: x}"), kind="catalog")


def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    folder = conf(tmp_path, parameters="distill: [1")
    monkeypatch.setattr("omegaconf.OmegaConf.load", refuse)
    with pytest.raises(
        InputError, match=r"base/parameters\.yml: cannot be read \(Permission denied\); make it readable"
    ):
        load(folder)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("distill: {epochs: 1}", "distill: {epochs: 2}"),
        # Kedro does not report these, and takes the one that comes last by the seed of Python's hashes.
        ("distill: {student: null}", "distill: {student: {steps: 2}}"),
    ],
)
def test_a_key_in_two_files_of_a_scenario_is_named(a, b, tmp_path):
    folder = conf(tmp_path, parameters_a=a, parameters_b=b)
    with pytest.raises(InputError, match=r"parameters_b\.yml: sets 'distill', as 'parameters_a\.yml' does"):
        load(folder)


def test_a_list_for_a_group_behind_params_is_named(tmp_path):
    with pytest.raises(InputError, match=r"distill\.student: \[1\] is refused"):
        load(conf(tmp_path), {"distill": {"student": [1]}})


def test_a_list_for_a_group_that_only_the_scenario_has_is_named(tmp_path):
    folder = conf(tmp_path, parameters="distill: {augmentation: {flip: true}}")
    with pytest.raises(InputError, match=r"distill\.augmentation: \[1\] is refused"):
        load(folder, {"distill": {"augmentation": [1]}})


def test_files_that_go_together_are_merged_and_read_by_kedro_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(configuration, "read", lambda file: pytest.fail(f"{file} was read again"))
    texts = {"parameters": "distill: {epochs: 1}", "globals": "scenario: mine", "catalog": "distill: {type: x}"}
    found = load(conf(tmp_path, **texts), {"distill": {"student": {"steps": 3}}})
    assert found == {"distill": {"student": {"steps": 3}, "betas": [1, 2], "epochs": 1}}


def test_anchors_and_the_same_key_of_other_kinds_are_no_mistake(tmp_path):
    folder = conf(tmp_path)
    for kind in ("catalog", "parameters"):
        (folder / "base" / kind).mkdir()
        (folder / "base" / kind / "teacher.yml").write_text("_shared: &shared {a: 1}\nteacher: *shared")
    (folder / "base" / "catalog.yml").write_text("_shared: {b: 2}\nstudent: {b: 1}")
    assert load(folder)["teacher"] == {"a": 1}
    assert load(folder, kind="catalog") == {"teacher": {"a": 1}, "student": {"b": 1}}


def test_configuration_that_is_not_there_stays_kedros_to_tell(tmp_path):
    with pytest.raises(MissingConfigException, match="mlflow"):
        load(conf(tmp_path), kind="mlflow")
