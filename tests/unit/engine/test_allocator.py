"""Freed memory stays with the process, in huge pages, after a call asks for it; without glibc nothing happens."""

import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

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


HUGE = """
import sys
import psutil, torch
from pathlib import Path
from nayer.engine.allocator import keep_freed_memory
before = psutil.Process().memory_info().rss
if sys.argv[1] == "keep":
    keep_freed_memory()
taken = psutil.Process().memory_info().rss - before
kept = torch.ones(2**24)  # 64 MiB
memory = Path("/proc/self/smaps_rollup")
huge = int(memory.read_text().partition("AnonHugePages:")[2].split()[0]) if memory.exists() else 0
assert taken < 2**24, "memory that is not used yet"
print(huge)
"""


def test_kept_memory_is_in_huge_pages_where_the_system_gives_them_and_takes_none_before_it_is_used():
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    chosen = setting.read_text() if setting.exists() else "[never]"

    def huge(mode: str) -> bool:
        done = subprocess.run(
            [sys.executable, "-c", HUGE, mode], capture_output=True, text=True, check=True, timeout=120
        )
        return int(done.stdout) >= 2**15  # KiB

    assert huge("keep") is ("[never]" not in chosen and platform.libc_ver()[0] == "glibc")
    assert not huge("give back") or "[always]" in chosen


def test_without_address_space_for_it_the_heap_stays_as_it_is():
    full = SimpleNamespace(malloc=lambda size: None, free=Mock(), madvise=Mock())
    allocator.extend_in_huge_pages(full, 3)
    assert not full.free.called
    assert not full.madvise.called
