"""The memory of a run stays flat over 200 epochs."""

import time
from statistics import median

import psutil
from clones import heard_until_distilling

RUN = ("kedro", "run", "--env", "test", "--params", "distill.epochs=200", "--pipelines", "distill")
MAX_BYTES = 16 * 2**20


def test_memory_is_flat_over_two_hundred_epochs(typed, started):
    assert typed("kedro", "run", "--env", "test", "--pipelines", "lte,teacher").returncode == 0
    process = started(*RUN)
    heard_until_distilling(process)
    resident = []
    while process.poll() is None:
        resident.append(psutil.Process(process.pid).memory_info().rss)
        time.sleep(0.05)
    assert process.returncode == 0, process.stderr.read()
    tenth = len(resident) // 10
    early, late = median(resident[2 * tenth : 3 * tenth]), median(resident[-2 * tenth : -tenth])
    assert late - early < MAX_BYTES, f"{early / 2**20:.0f} MiB, then {late / 2**20:.0f} MiB"
