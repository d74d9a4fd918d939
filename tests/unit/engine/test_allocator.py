"""Freed memory stays with the process after a call asks for it; nothing happens where the C library cannot."""

import platform
import subprocess
import sys

import pytest

from nayer.engine import allocator

FAULTS = """
import resource, sys
from nayer.engine.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(2):  # the first time the heap grows
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        bytearray(2**26)  # 64 MiB, of which every page is written
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_what_was_freed_is_taken_again_without_asking_the_system():
    def faults(mode: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True, timeout=120
        )
        return int(done.stdout)

    assert faults("keep") < faults("give back") / 5


def test_elsewhere_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert not allocator.keep_freed_memory()
