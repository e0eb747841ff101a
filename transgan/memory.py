"""How malloc keeps memory: for work that takes and frees large blocks over and over. Imports nothing heavy."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of glibc's mallopt(3)


def keep_freed_memory(largest: int | None = None) -> None:
    """Let malloc keep freed memory for the next block, where it is glibc's; elsewhere nothing happens.

    As it is, every large block is mapped anew, and the kernel clears each of its pages at first touch: a fifth of a generator's step at
    full width (docs/performance.md). Blocks of more than `largest` bytes (at most 32 MiB; None: none) still go back to the system at once,
    and so does what is free at the heap's end beyond twice that.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return
    if largest is None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
    else:
        mallopt(M_MMAP_THRESHOLD, largest)
        mallopt(M_TRIM_THRESHOLD, 2 * largest)
