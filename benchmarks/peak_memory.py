"""Run a command and print the peak memory of it and all its descendants together.

    python benchmarks/peak_memory.py make reproduce

Memory is sampled twice a second. Shared memory is counted once (PSS) where the system reports it; page cache is not
counted.
"""

import contextlib
import subprocess
import sys
import time

import psutil

from transgan.utils.units import GIB

INTERVAL = 0.5  # seconds between samples


def used_bytes(root: psutil.Process) -> int:
    """Memory of the process and all its descendants now."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # it has ended in the meantime
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
    return total


def peak_bytes(command: subprocess.Popen[str]) -> int:
    """Peak memory of the command and its descendants until it ends."""
    root, peak = psutil.Process(command.pid), 0
    while command.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            peak = max(peak, used_bytes(root))
        time.sleep(INTERVAL)
    return peak


def main() -> None:
    """Run the command; exit with its exit code."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    started = time.monotonic()
    command = subprocess.Popen(sys.argv[1:], text=True)
    peak = peak_bytes(command)
    print(f"peak memory {peak / GIB:.2f} GiB, {time.monotonic() - started:.1f} s", file=sys.stderr)
    sys.exit(command.returncode)


if __name__ == "__main__":
    main()
