"""Makes the C library's heap keep freed memory, in huge pages, so that each step reuses what the step before freed."""

import ctypes
import sys
from contextlib import suppress
from mmap import PAGESIZE

import psutil

# The parameters of glibc's mallopt, and Linux' advice to use huge pages.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, MADV_HUGEPAGE = -1, -3, 14
NEVER = -1
# Larger blocks are still mapped and unmapped individually.
LARGEST_KEPT = 2**30
# Blocks by which the heap is extended for huge pages, and the most of them.
BLOCK, MOST_BLOCKS = LARGEST_KEPT - PAGESIZE, 8


def keep_freed_memory() -> bool:
    """Keep freed memory in this process instead of returning it to the system, which hands it out again page by page.

    Only for processes that are ours alone, as it affects the whole process. Does nothing where there is no glibc
    (macOS, musl); returns whether glibc took both settings. Measured in docs/results/records/2026-11-24-allocator.md
    and 2026-11-29-huge-pages.md.
    """
    if not sys.platform.startswith("linux"):
        return False
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        kept = all([libc.mallopt(M_TRIM_THRESHOLD, NEVER), libc.mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)])
        if kept:
            extend_in_huge_pages(libc, min(MOST_BLOCKS, psutil.virtual_memory().available // 2 // BLOCK))
        return kept
    return False


def extend_in_huge_pages(libc: ctypes.CDLL, blocks: int) -> None:
    """Extend the heap by this many blocks of 1 GiB, which take no memory until they are used, and advise huge pages.

    Torch can ask for huge pages itself (THP_MEM_ALLOC_ENABLE), but then places tensors so that runs took up to half as
    much memory again.
    """
    address, size = ctypes.c_void_p, ctypes.c_size_t
    libc.malloc.restype, libc.malloc.argtypes = address, [size]
    libc.free.restype, libc.free.argtypes = None, [address]
    libc.madvise.argtypes = [address, size, ctypes.c_int]
    taken = [block for block in (libc.malloc(BLOCK) for _ in range(blocks)) if block]
    for block in taken:
        start = -(-block // PAGESIZE) * PAGESIZE
        libc.madvise(start, (block + BLOCK - start) // PAGESIZE * PAGESIZE, MADV_HUGEPAGE)
    for block in taken:
        libc.free(block)
