"""Which freed memory malloc keeps."""

import platform
import subprocess
import sys

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
def test_large_tensors_reuse_freed_memory() -> None:
    first, *later = map(int, subprocess.check_output([sys.executable, "-c", FAULTS], text=True).split())
    # A small block may take part of the freed memory, and the next tensor then needs new pages.
    # Without keep_freed_memory, every tensor needs new pages.
    assert first > 30_000
    assert sum(faults < 100 for faults in later) > len(later) // 2


LIMITED = """
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
def test_blocks_above_the_limit_return_to_the_system() -> None:
    counts = list(map(int, subprocess.check_output([sys.executable, "-c", LIMITED], text=True).split()))
    small, large = counts[1:10], counts[10:]
    assert sum(faults < 100 for faults in small) > 5
    assert all(faults > 8_000 for faults in large)
