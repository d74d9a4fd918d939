"""The C library's heap: what a step frees, the next step takes again."""

import ctypes
import sys
from contextlib import suppress

# The parameters of glibc's mallopt.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER = -1
# Larger blocks are still mapped and unmapped one by one.
LARGEST_KEPT = 2**30


def keep_freed_memory() -> bool:
    """Keep what this process frees instead of giving it back to the system, which hands it out again page by page.

    For a process of our own alone, as it holds for all of it. Does nothing where there is no glibc (macOS, musl), and
    returns whether it did something. Measured in docs/results/records/2026-11-24-allocator.md.
    """
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        return all([mallopt(M_TRIM_THRESHOLD, NEVER), mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)])
    return False
