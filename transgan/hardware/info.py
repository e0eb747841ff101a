"""The machine at hand, as far as a plan must know it: what computes here and how much memory it has. Imports no torch, so that `transgan plan`
stays quick.
"""

import platform
from pathlib import Path

import psutil
import pynvml


def device_bytes() -> int:
    """Memory of the first GPU, or of the machine where there is none."""
    gpu = _first_gpu()
    return gpu[1] if gpu else int(psutil.virtual_memory().total)


def device_name(cpu: bool = False) -> str:
    """Name of the first GPU, or of the processor where there is none (or with `cpu`)."""
    gpu = None if cpu else _first_gpu()
    return gpu[0] if gpu else cpu_model()


def cpu_model() -> str:
    """The processor in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _first_gpu() -> tuple[str, int] | None:
    """Its name and memory in bytes; None where there is no NVIDIA GPU."""
    try:
        pynvml.nvmlInit()
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            name = pynvml.nvmlDeviceGetName(handle)
            return (name.decode() if isinstance(name, bytes) else str(name)), int(
                pynvml.nvmlDeviceGetMemoryInfo(handle).total
            )
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None
