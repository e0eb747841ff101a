"""How malloc keeps memory: for work that takes and frees large blocks over and over. Imports nothing heavy."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of glibc's mallopt(3)
MADV_HUGEPAGE = 14  # of Linux's madvise(2)
HUGE_PAGE = 2 * 2**20


def keep_freed_memory(largest: int | None = None) -> None:
    """Let malloc keep freed memory for the next block, where it is glibc's; elsewhere nothing happens.

    As it is, every large block is mapped anew, and the kernel clears each of its pages at first touch: a fifth of a generator's step at
    full width (docs/performance.md). Blocks of more than `largest` bytes (at most 32 MiB; None: none) still go back to the system at once,
    and so does what is free at the heap's end beyond twice that.
    """
    libc = _glibc()
    if libc is None:
        return
    if largest is None:
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)
    else:
        libc.mallopt(M_MMAP_THRESHOLD, largest)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * largest)


def keep_huge_pages(size: int) -> None:
    """As `keep_freed_memory(size)`, and let the next `size` bytes that malloc hands out lie in huge pages, where Linux grants them.

    Worth it where pictures are decoded one after the other: the kernel then has half as much to do for each (16 to 21 microseconds of system
    time for one of CelebA's at 128 pixels instead of 27 to 37). Memory counts as used from the first touch on, two megabytes at a time.
    """
    keep_freed_memory(size)
    libc = _glibc()
    if libc is None:
        return
    libc.sbrk.restype = libc.malloc.restype = ctypes.c_void_p
    libc.sbrk.argtypes, libc.malloc.argtypes, libc.free.argtypes = (
        [ctypes.c_ssize_t],
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = libc.sbrk(0)
    libc.free(libc.malloc(size - HUGE_PAGE))  # the heap grows by it and keeps it
    start, end = -(-start // HUGE_PAGE) * HUGE_PAGE, libc.sbrk(0) // HUGE_PAGE * HUGE_PAGE
    if end > start:
        libc.madvise(start, end - start, MADV_HUGEPAGE)  # refused where the kernel has none: then all is as it was


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process, if it is glibc."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") else None
