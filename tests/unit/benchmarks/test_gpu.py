"""What gpu.py would do is there to be done."""

import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import gpu
import pytest
import steps
import torch
from harness import rates
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
    call.perform(gpu.PARTS[0])
    assert '"answer": 42' in call.file(gpu.PARTS[0]).read_text()
    assert '"device": "cpu"' in capsys.readouterr().out
    assert len({call.file(part) for part in gpu.PARTS}) == len(gpu.PARTS)


def test_what_is_no_study_asks_for_neither_pipelines_nor_tracking_nor_a_queue():
    without = "import sys; sys.modules |= dict.fromkeys(('kedro', 'mlflow', 'optuna', 'sqlalchemy', 'dvc'))"
    command = [sys.executable, "-c", f"{without}; import gpu, harness.run"]
    subprocess.run(command, cwd=Path(gpu.__file__).parent, check=True)
