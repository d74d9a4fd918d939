"""Bad input is answered with one sentence that names the key, the value and the way out; nothing is written."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

RUN = ("kedro", "run", "--env", "test")


def outputs(project: Path) -> list[Path]:
    return [path for path in project.rglob("*") if path.is_file() and path.parts[-2] != "__pycache__"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["kedro", "run", "--env", "digts"], ["--env", "digts", "Did you mean 'digits'"]),
        (["kedro", "run", "--pipelines", "distil"], ["--pipelines", "distil", "Did you mean 'distill'"]),
        ([*RUN, "--params", "teacher.architecture=wrn-16-x"], ["teacher.architecture", "wrn-16-x", "wrn-16-2"]),
        ([*RUN, "--params", "distill.student.architecture=resnet18"], ["student.architecture", "'resnet-18'"]),
        ([*RUN, "--params", "lte.encoder=minilmm"], ["lte.encoder", "minilmm", "'minilm'"]),
        ([*RUN, "--params", "data.dataset=digit"], ["data.dataset", "digit", "'digits'"]),
        ([*RUN, "--params", "data.dataset=cifar10,data.image_size=32"], ["data.folder", "cifar-10-batches-py"]),
        ([*RUN, "--params", "data.image_size=9"], ["data.image_size", "9", "8"]),
        (
            [*RUN, "--params", "teacher.training.epochs=-1"],
            ["teacher.training.epochs", "-1", "greater than 0", "conf/"],
        ),
        (
            [*RUN, "--params", "distill.synthesis.ce_weight=.nan"],
            ["distill.synthesis.ce_weight", "nan", "finite", "conf/"],
        ),
        ([*RUN, "--params", "distill.epocs=3"], ["distill", "epocs", "Did you mean 'epochs'"]),
        ([*RUN, "--params", "lte.prompt=photo"], ["lte.prompt", "photo", "{}"]),
        ([*RUN, "--params", "runtime.device=cuda:7"], ["runtime.device", "cuda:7", "cpu"]),
    ],
)
def test_one_sentence_and_nothing_written(command, words, typed, project):
    before = outputs(project)
    done = typed(*command)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    said = done.stderr.strip()
    assert len(said.splitlines()) <= 3, said
    missing = [word for word in words if word not in said]
    assert not missing, f"{missing} not in: {said}"
    assert outputs(project) == before


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a"] * 10, ["data.class_names", "'a'"]),
        ([*"abcdefghi", ""], ["data.class_names", "empty"]),
        ([*"abc"], ["data.class_names", "3", "10"]),
    ],
)
def test_class_names_are_checked_before_anything_runs(names, words, typed, project):
    file = project / "conf" / "test" / "parameters_data.yml"
    listed = ", ".join(f"'{name}'" for name in names)
    file.write_text(file.read_text() + f"  class_names: [{listed}]\n")
    before = outputs(project)
    done = typed(*RUN)
    assert done.returncode == 1
    assert all(word in done.stderr for word in words), done.stderr
    assert outputs(project) == before


def test_missing_damaged_and_foreign_classifiers_are_told_apart(typed, project):
    path = project / "data" / "06_models" / "test" / "teacher.safetensors"
    lte = typed(*RUN, "--pipelines", "lte")
    assert lte.returncode == 0, lte.stderr
    for make, word in (
        (lambda: None, "does not exist"),
        (lambda: path.write_bytes(b"x" * 100), "damaged"),
        (lambda: save_file({"a": torch.zeros(1)}, path), "foreign"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        make()
        done = typed(*RUN, "--pipelines", "distill")
        assert done.returncode == 1
        assert word in done.stderr, done.stderr
        assert "Traceback" not in done.stderr


def test_an_output_folder_that_cannot_be_is_refused(typed, project):
    (project / "data").write_text("a file where a folder should be")
    done = typed(*RUN)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr, done.stderr


def test_a_dead_mlflow_server_is_noticed_before_training(typed, project):
    import time

    began = time.monotonic()
    done = typed(*RUN, MLFLOW_TRACKING_URI="http://user:secret@127.0.0.1:9")
    assert done.returncode == 1
    assert time.monotonic() - began < 40
    assert "MLFLOW_TRACKING_URI" in done.stderr
    assert "secret" not in done.stderr + done.stdout
    assert not (project / "data").exists()
