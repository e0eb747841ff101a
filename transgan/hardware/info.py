"""Name and memory of this machine's GPU or processor. Imports no torch, so that `transgan plan` starts quickly."""

import platform
from pathlib import Path

import psutil
import pynvml


def device_bytes() -> int:
    """Memory of the first GPU; of the machine if it has no GPU."""
    gpu = _first_gpu()
    return gpu[1] if gpu else int(psutil.virtual_memory().total)


def device_name(cpu: bool = False) -> str:
    """Name of the first GPU; of the processor with `cpu` or if there is no GPU."""
    gpu = None if cpu else _first_gpu()
    return gpu[0] if gpu else cpu_model()


def cpu_model() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def cpu_identity(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str | int]:
    """Vendor, family, model and stepping of the processor, which its name may not say. Empty where Linux is not."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return {}
    first = dict(_pair(line) for line in lines[: lines.index("") if "" in lines else None] if ":" in line)
    numbers = {"family": "cpu family", "model": "model", "stepping": "stepping"}
    known = {key: int(first[name]) for key, name in numbers.items() if first.get(name, "").isdigit()}
    return {**({"vendor": first["vendor_id"]} if "vendor_id" in first else {}), **known}


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()


def _first_gpu() -> tuple[str, int] | None:
    """Name and memory in bytes of the first NVIDIA GPU; None if there is none."""
    try:
        pynvml.nvmlInit()
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            name = pynvml.nvmlDeviceGetName(handle)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            return (name.decode() if isinstance(name, bytes) else str(name)), int(memory.total)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None
