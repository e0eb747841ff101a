"""memory: what malloc keeps."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = """
import resource, torch
from transgan.hardware.device import prepare_compute
prepare_compute(1, "cpu")
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**25)  # 128 MiB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(*[faults() for _ in range(40)])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_large_tensors_get_the_memory_that_others_freed() -> None:
    first, *later = map(int, subprocess.check_output([sys.executable, "-c", FAULTS], text=True).split())
    # A small block may settle in what was freed, and the next tensor then lies elsewhere; without keeping, all of them are mapped anew.
    assert first > 30_000
    assert sum(faults < 100 for faults in later) > len(later) // 2


KEPT = """
import resource
from transgan.hardware.malloc import keep_freed_memory
keep_freed_memory(2**24)
def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytes(b"x") * size
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(*[faults(2**23) for _ in range(10)], *[faults(2**25) for _ in range(10)])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_only_blocks_up_to_a_size_are_kept() -> None:
    found = list(map(int, subprocess.check_output([sys.executable, "-c", KEPT], text=True).split()))
    small, large = found[1:10], found[10:]
    assert sum(faults < 100 for faults in small) > 5
    assert all(faults > 8_000 for faults in large)


HUGE = """
import ctypes
import re
from transgan.hardware.malloc import HUGE_PAGE, keep_huge_pages
sbrk = ctypes.CDLL(None).sbrk
sbrk.restype, sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
border = -(-sbrk(0) // HUGE_PAGE) * HUGE_PAGE  # the first of a huge page that the heap can reach
keep_huge_pages(2**24)
blocks = [bytes(b"x") * 2**20 for _ in range(10)]
mappings = re.split(r"\\n(?=[0-9a-f]+-[0-9a-f]+ )", open("/proc/self/smaps").read())
advised = [[int(end, 16) for end in mapping.split()[0].split("-")] for mapping in mappings if re.search("VmFlags:.* hg", mapping)]
behind = [id(block) for block in blocks if id(block) >= border]
print(len(behind), sum(start <= block and block + 2**20 <= end for block in behind for start, end in advised))
"""


def huge_pages_are_granted() -> bool:
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return setting.exists() and "[never]" not in setting.read_text()


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or not huge_pages_are_granted(), reason="another malloc, or no huge pages"
)
def test_the_next_blocks_lie_where_huge_pages_are_asked_for() -> None:
    """All behind the first border of a huge page, before which three of 1 MiB fit. Whether the kernel has any left is its affair."""
    behind, advised = map(int, subprocess.check_output([sys.executable, "-c", HUGE], text=True).split())
    assert advised == behind >= 7
