"""Run a command and say how much memory it and everything that it started held at most, all processes together.

    python benchmarks/peak_memory.py make reproduce

Sampled twice a second. Memory that processes share is counted once (PSS), where the system tells it; page cache is not counted.
"""

import contextlib
import subprocess
import sys
import time

import psutil

INTERVAL = 0.5


def held(root: psutil.Process) -> int:
    """Bytes of the process and all its descendants now."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):  # it ended meanwhile
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
    return total


def watch(command: subprocess.Popen[str]) -> int:
    """The most bytes that the command and its descendants held at once, from now until it ends."""
    root, peak = psutil.Process(command.pid), 0
    while command.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            peak = max(peak, held(root))
        time.sleep(INTERVAL)
    return peak


def main() -> None:
    """Exit as the command did."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    started = time.monotonic()
    command = subprocess.Popen(sys.argv[1:], text=True)
    peak = watch(command)
    print(f"at most {peak / 2**30:.2f} GiB at once, in {time.monotonic() - started:.1f} s", file=sys.stderr)
    sys.exit(command.returncode)


if __name__ == "__main__":
    main()
