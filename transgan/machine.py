"""The machine at hand, as far as a plan must know it: how much memory training has. Imports no torch, so that `transgan plan` stays quick."""

import psutil
import pynvml


def device_bytes() -> int:
    """Memory of the first GPU, or of the machine where there is none."""
    try:
        pynvml.nvmlInit()
        try:
            return int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).total)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return int(psutil.virtual_memory().total)
