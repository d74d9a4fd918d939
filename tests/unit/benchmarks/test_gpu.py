"""Everything that benchmarks/gpu.py plans can be done; failed parts are reported and tried again."""

import json
import os
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import gpu
import pandas as pd
import pytest
import steps
import torch
from harness import rates, selftest
from harness.settings import Study


@pytest.mark.parametrize("part", [part for part in gpu.PARTS if part.study], ids=lambda part: part.name)
def test_a_part_that_is_a_study_has_runs(part):
    study = Study.read(gpu.STUDIES / f"{part.study}.yml")
    assert any(fnmatch(run.key, part.pattern) for run in study.runs())


def test_the_sweep_is_of_a_shape_that_there_is():
    assert gpu.SWEPT in steps.ALL


def test_rates_are_of_both_kinds_of_steps_and_of_this_device(monkeypatch):
    monkeypatch.setattr(rates, "MATRIX", 512)
    monkeypatch.setattr(rates, "STEPS", 1)
    small = rates.planned_pair("digits", "wrn-10-1", "wrn-10-1", torch.device("cpu"), False)
    monkeypatch.setattr(rates, "planned_pair", lambda *_: small)
    found = rates.rates("digits", "wrn-10-1", "wrn-10-1", torch.device("cpu"), False)
    for kind in ("synthesis", "student"):
        assert found[f"{kind}_seconds"] > 0
        share = found[f"{kind}_tflops"] / found["matmul_tflops"]
        assert found[f"{kind}_share_of_matmul"] == pytest.approx(share)


def test_a_part_leaves_one_file_and_is_not_done_again(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "measurement", lambda name, device: lambda: {"answer": 42})
    call = gpu.Call(tmp_path, "cpu", minutes=1)
    assert call.todo()[0] == gpu.PARTS[0]
    call.perform(gpu.PARTS[0])
    assert '"answer": 42' in call.file(gpu.PARTS[0]).read_text()
    assert '"device": "cpu"' in capsys.readouterr().out
    assert gpu.PARTS[0] not in call.todo()
    assert len({call.file(part) for part in gpu.PARTS}) == len(gpu.PARTS)


class Parts:
    """A self-test and two more parts, of which some fail; keeps the parts that a call tried."""

    def __init__(self, folder, monkeypatch, *failing):
        self.folder, self.failing, self.tried = folder, set(failing), []
        monkeypatch.setattr(gpu, "PARTS", (gpu.SELF_TEST, gpu.Part("steps", 1), gpu.Part("sweep", 1)))
        monkeypatch.setattr(gpu, "measurement", self.measurement)

    def measurement(self, name, device):
        def measured():
            self.tried.append(name)
            if name in self.failing:
                raise RuntimeError(f"no {name} here.\nAnd more of it")
            return {"answer": 42}

        return measured

    def call(self, minutes=1, anyway=False) -> tuple[list[str], object]:
        """The parts that a call tries, and its exit status."""
        self.tried.clear()
        try:
            gpu.Call(self.folder, "cpu", minutes, anyway).work()
        except SystemExit as end:
            return list(self.tried), end.code
        return list(self.tried), 0


def test_a_part_that_fails_is_told_and_kept_and_the_next_call_tries_it_last(tmp_path, monkeypatch, capsys):
    parts = Parts(tmp_path, monkeypatch, "steps")
    assert parts.call() == (["self-test", "steps", "sweep"], 1)
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "steps failed: RuntimeError: no steps here.",
        "Failed, and tried again by the next call: steps.",
    ]
    kept = json.loads((tmp_path / "steps.failed.json").read_text())
    assert (kept["failed"], kept["device"]) == ("RuntimeError: no steps here", "cpu")
    assert kept["traceback"][-1] == "And more of it"
    monkeypatch.setattr(gpu, "PARTS", (*gpu.PARTS, gpu.Part("later", 1)))
    assert parts.call() == (["later", "steps"], 1)
    parts.failing.clear()
    assert parts.call() == (["steps"], 0)
    assert not (tmp_path / "steps.failed.json").exists()
    assert parts.call() == ([], 0)


def test_a_call_says_that_it_is_unfinished_while_something_is_left_that_has_not_failed(tmp_path, monkeypatch, capsys):
    parts = Parts(tmp_path, monkeypatch)
    assert parts.call(minutes=0) == ([], gpu.UNFINISHED)
    assert "goes on with self-test" in capsys.readouterr().out


def test_nothing_begins_while_the_self_test_fails_unless_asked_for(tmp_path, monkeypatch):
    parts = Parts(tmp_path, monkeypatch, "self-test")
    for _ in range(2):
        tried, told = parts.call()
        assert tried == ["self-test"]
        assert told == "Nothing else begins while the self-test fails; --anyway goes on without it."
    assert parts.call(anyway=True) == (["steps", "sweep", "self-test"], 1)
    parts.failing.clear()
    assert parts.call() == (["self-test"], 0)


def test_a_check_that_does_not_hold_fails_the_self_test_and_is_named(tmp_path, monkeypatch, capsys):
    found = [selftest.Found("sums", False, "2 + 2 = 5"), selftest.Found("formats", True, "off by 0")]
    monkeypatch.setattr(selftest, "run", lambda device: iter(found))
    call = gpu.Call(tmp_path, "cpu", minutes=1)
    with pytest.raises(SystemExit, match="--anyway"):
        call.work()
    assert "self-test failed: what does not hold on this device: sums (2 + 2 = 5)." in capsys.readouterr().err
    assert json.loads(call.failure(gpu.SELF_TEST).read_text())["sums"]["passed"] is False
    assert gpu.SELF_TEST in call.todo()


def test_the_list_says_what_failed_and_when_it_is_tried_again(tmp_path, monkeypatch, capsys):
    parts = Parts(tmp_path, monkeypatch, "steps")
    parts.call()
    capsys.readouterr()
    gpu.Call(tmp_path, "cpu", minutes=1).plan(1)
    assert capsys.readouterr().out.splitlines() == [
        "done             1 min  self-test",
        "done             1 min  sweep",
        "this call        1 min  steps, failed before",
    ]


WITHOUT = ("alembic", "dvc", "git", "jinja2", "kedro", "matplotlib", "mlflow", "optuna", "sqlalchemy")


def test_what_is_no_study_asks_for_neither_pipelines_nor_tracking_nor_a_queue():
    without = f"import sys; sys.modules |= dict.fromkeys({(*WITHOUT, 'pandas')})"
    command = [sys.executable, "-c", f"{without}; import gpu, harness.run"]
    subprocess.run(command, cwd=Path(gpu.__file__).parent, check=True)


TINY = """
name: tiny
results: docs/results/tiny
teachers: {tiny: {scenario: test, architecture: wrn-10-1}}
pairs: {tiny: {teacher: tiny}}
settings: {own: {}}
groups: {all: {pair: tiny, seeds: [0], settings: [own]}}
"""


@pytest.fixture
def bare(tmp_path) -> Path:
    """This project without its data and results, and a machine without the packages that a GPU machine may lack."""
    project = tmp_path / "project"
    for folder in ("benchmarks", "conf"):
        shutil.copytree(gpu.PROJECT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "benchmarks" / "studies" / "tiny.yml").write_text(TINY)
    # Python runs this file at every start, also in processes that the command starts.
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules |= dict.fromkeys({WITHOUT})\n")
    return project


@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_needs_neither_pipelines_nor_tracking_nor_a_queue(workers, bare):
    script = f"import gpu; gpu.PARTS = (gpu.Part('tiny', 1, 'tiny', '*', {workers}),); gpu.main()"
    paths = (bare.parent, bare / "benchmarks", gpu.PROJECT / "src")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-c", script, "--device", "cpu", "--out", str(bare / "found")]
    done, again = (
        subprocess.run(command, cwd=bare, env=environment, capture_output=True, text=True, check=False)
        for _ in range(2)
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("'mlflow' is not installed: runs go into the table, and not to MLflow.") == workers
    assert "make ui" not in done.stdout
    table = pd.read_csv(bare / "found" / "docs" / "results" / "tiny" / "runs.csv")
    ends = table[table["accuracy"].notna()]
    assert ends["setting"].tolist() == ["own"]
    assert (bare / "found" / "tiny.json").exists()
    assert again.returncode == 0, again.stderr
    assert again.stderr == "", "nothing is left to be done"


def test_a_study_that_ends_in_another_way_is_a_part_that_failed(bare, monkeypatch, capfd):
    monkeypatch.setattr(gpu, "PROJECT", bare)
    part = gpu.Part("gone", 1, "gone", "*")
    call = gpu.Call(bare / "found", "cpu", minutes=1)
    call.perform(part)
    assert "gone failed: its study ended with 1, and says above why." in capfd.readouterr().err
    assert call.failure(part).exists()
