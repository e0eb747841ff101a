"""Times work on a GPU with CUDA events, or on a CPU with the clock, and measures the memory that it takes."""

import statistics
import time
from collections.abc import Callable

import torch

from transgan.hardware.device import prepare_compute
from transgan.utils.units import GIB

SECONDS = 0.1  # of repetitions for a median
MOST, LEAST = 10, 3  # repetitions
SLOW_SECONDS = 2.0  # work whose first call takes longer is not repeated


def device_of(kind: str) -> torch.device:
    """The device of this kind ("cuda" or "cpu"), set up as for a stage."""
    return prepare_compute(8 if kind == "cuda" else 1, "cuda" if kind == "cuda" else "cpu")


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call on the host's clock, until the device has done its work."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def timed(work: Callable[[], object], device: torch.device) -> dict[str, float]:
    """`first_ms`, of the first call; `ms`, the median of later ones; on a GPU `peak_gib`, see `with_peak`.

    The first call includes choosing and loading kernels. Work that takes long is repeated less often or not at all.
    """
    first, memory = with_peak(work, device)
    if first < SLOW_SECONDS:
        second = seconds_of(work, device)
        repeats = max(LEAST, min(MOST, int(SECONDS / max(second, 1e-6))))
        seconds = statistics.median(_repeated(work, device, repeats))
    else:
        seconds = first
    return {"first_ms": 1e3 * first, "ms": 1e3 * seconds, **memory}


def with_peak(work: Callable[[], object], device: torch.device) -> tuple[float, dict[str, float]]:
    """Seconds of one call, and on a GPU {"peak_gib": by how much it raises allocated memory at its peak}."""
    if device.type != "cuda":
        return seconds_of(work, device), {}
    synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    seconds = seconds_of(work, device)
    return seconds, {"peak_gib": float(torch.cuda.max_memory_allocated(device) - before) / GIB}


def _repeated(work: Callable[[], object], device: torch.device, repeats: int) -> list[float]:
    """Seconds of each repetition. On a GPU all are queued before the host waits, as in training."""
    if device.type != "cuda":
        return [seconds_of(work, device) for _ in range(repeats)]
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]
    for begin, end in events:
        begin.record()
        work()
        end.record()
    synchronize(device)
    return [begin.elapsed_time(end) / 1e3 for begin, end in events]
