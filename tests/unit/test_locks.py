"""Who writes a file holds it alone; a lock ends with its process."""

import subprocess
import sys
from pathlib import Path

import pytest

from nayer.errors import InputError
from nayer.locks import hold

A, B = Path("data/a.bin"), Path("data/b.bin")
HOLDER = """
import sys, time
from pathlib import Path
from nayer.locks import hold
held = hold([Path(p) for p in sys.argv[1].split()], [Path(p) for p in sys.argv[2].split()])
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path, monkeypatch):
    """Starts another process that holds files."""
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
        process.wait()


def test_a_file_that_another_process_writes_is_refused_by_its_name(other):
    process = other(str(A), "")
    for written, read in (([A], []), ([], [A])):
        with pytest.raises(InputError, match=rf"'data/a.bin' is in use by process {process.pid} .*started") as caught:
            hold(written, read)
        assert "wait until that is done" in str(caught.value)


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
    process.wait()
    hold([A], []).close()
