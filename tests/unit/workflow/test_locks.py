"""A process that writes a file holds its lock alone; a lock ends with its process."""

import errno
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from nayer.core.errors import InputError
from nayer.workflow.locks import hold, in_turn

A, B = Path("data/a.bin"), Path("data/b.bin")
HOLDER = """
import sys, time
from pathlib import Path
from nayer.workflow.locks import hold
held = hold([Path(p) for p in sys.argv[1].split()], [Path(p) for p in sys.argv[2].split()])
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path, monkeypatch):
    """A function that starts another process, which holds files."""
    monkeypatch.chdir(tmp_path)
    started = []

    def start(written: str, read: str) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, "-c", HOLDER, written, read], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(timeout=30)


def test_a_file_that_another_process_writes_is_refused_by_its_name(other):
    process = other(str(A), "")
    for written, read in (([A], []), ([], [A])):
        with pytest.raises(InputError, match=rf"data/a\.bin' is in use by process {process.pid} .*started") as caught:
            hold(written, read)
        assert "wait for it to end" in str(caught.value)


def test_readers_share_a_file_and_keep_writers_out(other):
    other("", str(A))
    with hold([B], [A]):
        pass
    with pytest.raises(InputError, match="in use"):
        hold([A], [])


def test_nothing_is_held_after_a_refusal_or_at_the_end(other):
    other(str(B), "")
    with pytest.raises(InputError):
        hold([A, B], [])
    with hold([A], []):
        pass
    hold([A], []).close()


def test_a_dead_process_holds_nothing(other):
    process = other(str(A), "")
    process.kill()
    process.wait(timeout=30)
    hold([A], []).close()


def test_locks_lie_in_the_project_whatever_the_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    long = Path("data", *("deep" * 50,) * 5, "a.bin")
    with hold([tmp_path / "data" / "a.bin", long], []):
        assert len(list((tmp_path / "data" / ".locks").iterdir())) == 2
    with hold([Path("data/a_b/c")], []), hold([Path("data/a/b_c")], []):
        pass


def test_a_relative_and_an_absolute_path_are_one_file(other, tmp_path):
    other(str(A), "")
    with pytest.raises(InputError, match="in use"):
        hold([tmp_path / A], [])


def test_a_folder_that_cannot_hold_locks_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(InputError, match=r"'data/\.locks' cannot hold the locks"):
        hold([A], [])


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("nayer.workflow.locks.fcntl.flock", refuse)
    with pytest.raises(InputError, match="No locks available"):
        hold([A], [])


WAITER = """
import sys
from pathlib import Path
from nayer.workflow.locks import in_turn
print("waits", flush=True)
with in_turn(Path(sys.argv[1])):
    print(Path("data/a.bin").read_text(), flush=True)
"""


def test_another_process_waits_for_its_turn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ExitStack() as held:
        held.enter_context(in_turn(A))
        command = [sys.executable, "-c", WAITER, str(A)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "waits\n"
            time.sleep(0.2)  # in which it would fail, if it did not wait
            A.write_text("done")
            held.close()
            assert process.stdout.read() == "done\n"
