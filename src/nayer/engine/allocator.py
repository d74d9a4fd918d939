"""Makes the C library's heap keep freed memory, so that each step reuses what the step before freed."""

import ctypes
import sys
from contextlib import suppress

# The parameters of glibc's mallopt.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
NEVER = -1
# Larger blocks are still mapped and unmapped individually.
LARGEST_KEPT = 2**30


def keep_freed_memory() -> bool:
    """Keep freed memory in this process instead of returning it to the system, which hands it out again page by page.

    Only for processes that are ours alone, as it affects the whole process. Does nothing where there is no glibc
    (macOS, musl); returns whether glibc took both settings. Measured in
    docs/results/records/2026-11-24-allocator.md.
    """
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        return all([mallopt(M_TRIM_THRESHOLD, NEVER), mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)])
    return False
