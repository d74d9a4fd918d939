"""Full, broken and read-only disks, and damaged states: a clear message, the last good state intact, a way on."""

import random

import pytest
from campaigns import KEDRO, Campaign
from clones import clone

FAULTS = {"ENOSPC": "No space left on device", "EIO": "Input/output error", "EROFS": "Read-only file system"}
OUTPUTS = ("teacher.safetensors", "teacher_history.csv", "student.safetensors", "distill_history.csv", "cost.json")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Campaign:
    return Campaign(clone(tmp_path_factory.mktemp("runs")), KEDRO).undisturbed()


def check_told(failed, words: str) -> None:
    """Check for one error of a few lines that ends with what is kept and how to continue."""
    assert failed.returncode == 1, failed.stderr
    assert "Traceback" not in failed.stderr
    error = failed.stderr[failed.stderr.index("Error: ") :].strip()
    assert words in error
    assert error.endswith(("The same command goes on from there.", "The same command starts again.")), error
    assert len(error.splitlines()) <= 2, error


@pytest.mark.campaign(short=3, long=24)
def test_a_state_that_cannot_be_written_leaves_the_one_before(case, runs):
    fault, number = list(FAULTS)[case % 3], random.Random(case).randint(2, runs.writes)
    runs.empty()
    failed = runs.type(FAULT=f"{fault}:.resume:{number}")
    check_told(failed, FAULTS[fault])
    assert "Kept in" in failed.stderr
    assert "the state could not be written" in failed.stderr
    assert list((runs.folder / "data/.resume").rglob("state.pt"))
    said = runs.goes_on()
    assert "going on in epoch" in said or "finished before" in said


@pytest.mark.campaign(short=3, long=15)
def test_an_output_that_cannot_be_written_costs_no_training(case, runs):
    fault, output = list(FAULTS)[case % 3], OUTPUTS[case % len(OUTPUTS)]
    runs.empty()
    check_told(runs.type(FAULT=f"{fault}:{output}:1"), FAULTS[fault])
    assert "finished before, not done again" in runs.goes_on()


@pytest.mark.campaign(short=2, long=12)
def test_a_damaged_state_is_told_and_done_again(case, runs):
    draw = random.Random(case)
    runs.empty()
    runs.type(FAULT=f"SIGKILL:.resume:{draw.randint(2, runs.writes)}")
    for state in (runs.folder / "data/.resume").rglob("state.pt"):
        content = state.read_bytes()
        state.write_bytes(draw.choice((content[: draw.randrange(len(content))], b"", draw.randbytes(len(content)))))
    assert "cannot be read" in runs.goes_on()
