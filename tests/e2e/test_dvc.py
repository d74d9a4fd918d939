"""DVC's command lines: what runs again and what does not, sweeps, and two machines that share a remote."""

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from clones import PROJECT, clone, committed, small_digits, typing_in
from PIL import Image

from nayer.datasets import load
from nayer.datasets.config import DataConfig

CHAIN = ["lte", "teacher", "distill", "evaluate"]
METRICS = "data/08_reporting/digits/metrics.json"


def ran(output: str) -> list[str]:
    """The stages that DVC ran, in the order of the chain."""
    found = set(re.findall(r"Running stage '(?:[\w/.]+:)?(\w+)'", output))
    return [name for name in CHAIN if name in found]


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.fixture
def repro(typed, project):
    """A function that types dvc repro and returns the stages that ran."""
    small_digits(project)
    committed(project)

    def run(*options: str) -> list[str]:
        done = typed("dvc", "repro", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return ran(done.stdout)

    return run


def test_the_committed_lock_is_that_of_the_committed_code_and_parameters(typed, project):
    """In a fresh clone, a stage has to run only for its missing outputs, not for a changed dependency."""
    shutil.copy(PROJECT / "dvc.lock", project / "dvc.lock")
    committed(project)
    done = typed("dvc", "status", "--json")
    assert done.returncode == 0, done.stderr
    moved = {
        stage: change["changed deps"]
        for stage, changes in json.loads(done.stdout).items()
        for change in changes
        if "changed deps" in change
    }
    made_here = "data/0"
    stale = {stage: [path for path in deps if made_here not in path] for stage, deps in moved.items()}
    assert not any(stale.values()), f"type dvc repro and commit dvc.lock: {stale}"


def test_only_what_a_change_reaches_runs_again(repro, typed, project):
    assert repro() == CHAIN
    assert repro() == []

    parameters = project / "conf/digits/parameters_distill.yml"
    replace(parameters, "learning_rate: 0.05", "learning_rate: 0.06")
    assert repro() == ["distill", "evaluate"]

    code = project / "src/nayer/mlops/tracking/run.py"
    code.write_text(code.read_text() + "\n# a comment\n")
    parameters.write_text("# another\n" + parameters.read_text())
    assert repro() == []

    committed(project)
    replace(parameters, "learning_rate: 0.06", "learning_rate: 0.07")
    changed = typed("dvc", "params", "diff")
    assert re.search(r"distill.student.learning_rate\s+0.06\s+0.07", changed.stdout), changed.stdout
    repro()
    differ = typed("dvc", "metrics", "diff")
    assert differ.returncode == 0
    assert "student" in differ.stdout
    plots = typed("dvc", "plots", "show")
    assert plots.returncode == 0, plots.stderr
    page = project / "dvc_plots" / "index.html"
    assert "kd_loss" in page.read_text()


def test_a_sweep_of_three_stands_side_by_side(repro, typed, project):
    """The commands of docs/mlops.md, with a key that only conf/base states."""
    repro()
    committed(project)
    key = "conf/digits/parameters_distill.yml:++distill.student.temperature"
    for name, temperature in (("t4", "4.0"), ("t10", "10.0"), ("t40", "40.0")):
        done = typed("dvc", "exp", "run", "-n", name, "-S", f"{key}={temperature}")
        assert done.returncode == 0, done.stdout + done.stderr
    shown = typed("dvc", "exp", "show", "--csv")
    assert shown.returncode == 0
    rows = {row["Experiment"]: row for row in csv.DictReader(io.StringIO(shown.stdout)) if row["Experiment"]}
    # Two files contain the key, so the name of its column may begin with that of a file.
    said = {
        name: {value for column, value in row.items() if column.endswith("distill.student.temperature")}
        for name, row in rows.items()
    }
    assert set(said) == {"t4", "t10", "t40"}
    assert all(name.removeprefix("t") + ".0" in values for name, values in said.items()), shown.stdout
    assert all(row["student.top1"] for row in rows.values())
    for command, wanted in (
        (
            ("exp", "show", "--only-changed", "--no-pager", "--drop", "digests.*|.*nll|.*calib.*|retention|Created"),
            "t40",
        ),
        (("params", "diff", "HEAD", "t4"), "distill.student.temperature"),
        # Only differences are shown, and accuracy may be equal on 540 images: look at nll.
        (("metrics", "diff", "HEAD", "t4"), "student.nll"),
    ):
        done = typed("dvc", *command)
        assert done.returncode == 0, done.stderr
        assert wanted in done.stdout


def second_clone(project: Path, place: Path) -> Path:
    subprocess.run(("git", "clone", "-q", str(project), str(place)), check=True)
    (place / "conf" / "local").mkdir(exist_ok=True)
    return place


def test_a_second_clone_pulls_everything_and_runs_nothing(repro, typed, project, tmp_path):
    repro()
    for command in (("dvc", "remote", "add", "-d", "store", str(tmp_path / "store")), ("dvc", "push", "-q")):
        assert typed(*command).returncode == 0
    committed(project)
    other = second_clone(project, tmp_path / "other")
    types = typing_in(other)
    pulled = types("dvc", "pull")
    assert pulled.returncode == 0, pulled.stderr
    for name in ("label_embeddings", "teacher", "student"):
        (file,) = other.glob(f"data/*/digits/{name}.safetensors")
        assert file.read_bytes() == (project / file.relative_to(other)).read_bytes()
    again = types("dvc", "repro")
    assert again.returncode == 0, again.stderr
    assert ran(again.stdout) == []
    evaluated = types("kedro", "run", "--env", "digits", "--pipelines", "evaluate")
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads((other / METRICS).read_text()) == json.loads((project / METRICS).read_text())


def write_pictures(folder: Path) -> None:
    """A handful of digits as an image folder."""
    data = load(DataConfig(dataset="digits", folder="", image_size=8, channels=None, class_names=None))
    for part, images in (("train", data.train), ("test", data.test)):
        for label, name in enumerate(data.class_names):
            place = folder / part / name
            place.mkdir(parents=True)
            for index, image in enumerate(images.images[images.labels == label][:12]):
                Image.fromarray(image[0].numpy()).save(place / f"{index}.png")


def test_a_gpu_node_without_data_distils_what_the_other_machine_evaluates_and_promotes(tmp_path):
    """Clone A has the data, clone B the GPU; between them are git and one DVC remote."""
    first = clone_with_scenario(tmp_path / "first")
    a = typing_in(first)
    pipeline = "conf/pictures/dvc.yaml"
    for command in (
        ("kedro", "scenario", "pictures"),
        ("dvc", "remote", "add", "-d", "store", str(tmp_path / "store")),
        ("dvc", "repro", f"{pipeline}:lte", f"{pipeline}:teacher"),
        ("dvc", "push", f"{pipeline}:lte", f"{pipeline}:teacher"),
    ):
        done = a(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    committed(first)

    second = second_clone(first, tmp_path / "second")
    b = typing_in(second)
    assert not (second / "data/01_raw/pictures").exists()
    made = b("dvc", "repro", "--pull", "--allow-missing", f"{pipeline}:distill")
    assert made.returncode == 0, made.stdout + made.stderr
    assert ran(made.stdout) == ["distill"]
    assert b("dvc", "push", f"{pipeline}:distill").returncode == 0
    committed(second)

    subprocess.run(("git", "pull", "-q", str(second), "main"), cwd=first, check=True)
    done = a("dvc", "repro", "--pull", pipeline)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran(done.stdout) == ["evaluate"]
    student = "data/06_models/pictures/student.safetensors"
    assert (first / student).read_bytes() == (second / student).read_bytes()
    promoted = a("kedro", "run", "--env", "pictures", "--pipelines", "promote")
    assert promoted.returncode == 0, promoted.stderr
    assert "is champion" in promoted.stdout


def clone_with_scenario(folder: Path) -> Path:
    """A clone with pictures, and a scenario of the size of a test."""
    folder.mkdir()
    clone(folder)
    write_pictures(folder / "data/01_raw/pictures")
    shutil.copytree(folder / "conf/test", folder / "conf/pictures")
    (folder / "conf/pictures/globals.yml").write_text("scenario: pictures\n")
    data = {"dataset": "image_folder", "folder": "data/01_raw/pictures", "image_size": 8}
    (folder / "conf/pictures/parameters_data.yml").write_text(yaml.safe_dump({"data": data}))
    committed(folder)
    return folder


def test_pictures_are_what_the_scenario_says(tmp_path):
    write_pictures(tmp_path)
    data = load(DataConfig(dataset="image_folder", folder=str(tmp_path), image_size=8, channels=None, class_names=None))
    assert len(data.test) == 120
    assert torch.equal(data.test.labels.unique(), torch.arange(10))
