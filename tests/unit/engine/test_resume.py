"""A kept state is restored whole, or a fresh start says why not."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from nayer.core.errors import InputError, Interrupted
from nayer.engine import resume
from nayer.engine.progress import NullReporter
from nayer.engine.resume import ResumePoint

STATE = {"weights": torch.arange(1000.0), "counters": [1, 2, 3], "history": [{"epoch": 1, "loss": 0.5}]}


class Listening(NullReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def point(runtime) -> ResumePoint:
    return ResumePoint(runtime.model_copy(update={"checkpoint_seconds": 1e-9}), "stage", {"seed": 1}, Listening())


@pytest.fixture
def kept(point) -> Path:
    point.keep(lambda: STATE)
    return point.path


def test_what_was_kept_comes_back(point, kept):
    found = point.load()
    assert found["counters"] == STATE["counters"]
    assert torch.equal(found["weights"], STATE["weights"])
    assert not point.reporter.said


def test_a_signal_that_comes_while_a_state_is_read_ends_the_run_and_leaves_the_state(point, kept, monkeypatch):
    def stopped(*_: Any) -> None:
        raise Interrupted("Stopped by SIGTERM.", 15)

    monkeypatch.setattr(resume, "read_state", stopped)
    with pytest.raises(Interrupted):
        point.load()
    assert kept.exists()


def starts_afresh(point: ResumePoint, words: str) -> bool:
    """Whether loading starts afresh with these words, but only once, as the file is moved out of the way."""
    assert point.load() is None
    assert words in point.reporter.said[0]
    assert point.path.with_name("previous.pt").exists()
    return point.load() is None and len(point.reporter.said) == 1


def other(point: ResumePoint, seed: int) -> ResumePoint:
    return ResumePoint(point.config, "stage", {"seed": seed}, Listening())


@pytest.mark.parametrize("finished", [False, True])
def test_the_command_before_goes_on_from_the_state_that_another_command_put_aside(point, kept, finished):
    another = other(point, 2)
    assert another.load() is None
    another.keep(lambda: {"counters": [7]})
    if finished:
        another.discard()
    assert point.load()["counters"] == STATE["counters"]
    assert not point.reporter.said
    again = other(point, 2).load()
    assert again is None if finished else again["counters"] == [7]


def test_a_required_state_may_be_the_one_that_was_put_aside(point, kept):
    other(point, 2).load()
    required = point.config.model_copy(update={"resume": "require"})
    resume.check_resume(required, ["stage"])
    assert ResumePoint(required, "stage", {"seed": 1}, Listening()).load()["counters"] == STATE["counters"]
    with pytest.raises(InputError, match=r"'require', but the kept state of stage does not fit: seed: 1 -> 3"):
        ResumePoint(required, "stage", {"seed": 3}, Listening()).load()


def test_a_single_wrong_bit_among_the_numbers_is_noticed(point, kept):
    content = bytearray(kept.read_bytes())
    place = content.index(torch.arange(1000.0).numpy().tobytes())
    content[place + 2000] ^= 1
    kept.write_bytes(content)
    assert starts_afresh(point, "a wrong checksum")


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04" + b"x" * 100, b"\x80\x02.", b"no state"])
def test_what_is_no_state_leads_to_a_fresh_start(content, point, kept):
    kept.write_bytes(content)
    assert starts_afresh(point, "the state file cannot be read")


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Code(), "more than a state"),
        ({"fingerprint": {}, "run_id": "", "states": Code()}, "more than a state"),
        ([1, 2], "cannot be read"),
        ({"run_id": "", "states": []}, "cannot be read ('fingerprint')"),
        ({"fingerprint": [], "run_id": "", "states": []}, "it holds no state"),
        ({"fingerprint": {}, "run_id": 7, "states": []}, "it holds no state"),
        ({"fingerprint": {"seed\x1b[2J": 1}, "run_id": "", "states": []}, "seed\N{REPLACEMENT CHARACTER}[2J"),
        ({"fingerprint": {1: 2}, "run_id": "", "states": []}, "cannot be read"),
        ({"fingerprint": {}, "run_id": "", "states": bytearray(9)}, "bytearray"),
    ],
)
def test_a_hostile_state_is_not_run_and_leads_to_a_fresh_start(content, words, point, kept, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(content, kept)
    assert starts_afresh(point, words)
    assert not (tmp_path / "executed").exists()


def test_a_state_that_unfolds_is_not_read(point, kept):
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("state/data.pkl", bytes(2**26))
    assert starts_afresh(point, "it is compressed")


class Loop:
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.counters = state["counters"]
        self.order = state["order"]


def test_a_state_that_fits_by_its_fingerprint_only_is_named(point, kept):
    with pytest.raises(InputError, match="kept state of stage in '.*' does not hold what it should .*'order'.*remove"):
        point.restore(Loop())


def test_without_a_state_nothing_is_restored(point):
    assert not point.restore(Loop())
