"""Lets glibc's malloc keep freed memory, for work that allocates and frees large blocks repeatedly. No torch."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of glibc's mallopt(3)


def keep_freed_memory(largest: int | None = None) -> None:
    """Let malloc keep freed memory for the next block. Does nothing where the C library is not glibc.

    By default, malloc maps every large block anew, and the kernel clears each page at its first use: a fifth of a
    generator's step at full width (docs/performance.md). Blocks larger than `largest` bytes (at most 32 MiB; None: no
    limit) still return to the system when they are freed, and so does free memory at the end of the heap beyond twice
    that size.
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


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process if it is glibc, else None."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") else None
