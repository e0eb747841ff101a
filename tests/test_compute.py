"""compute: what is set for every stage that computes."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from transgan.compute import prepare_compute
prepare_compute(1, "cpu")
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**25)  # 128 MiB, freed at once
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc")
def test_a_large_tensor_gets_the_memory_that_the_last_one_freed() -> None:
    first, second = map(int, subprocess.check_output([sys.executable, "-c", FAULTS], text=True).split())
    assert second < 100 < first
