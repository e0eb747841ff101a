"""Where and how arrays are computed: device and threads. Every stage that computes calls `prepare_compute` first.

Threads change the last bits of sums on a CPU, so they are part of a stage's fingerprint and are set here, not by the environment.
"""

from typing import Literal

import torch
from threadpoolctl import threadpool_limits

from transgan.errors import UserError


def prepare_compute(threads: int, device: Literal["auto", "cpu", "cuda"] = "auto") -> torch.device:
    """Set the CPU threads of torch and of every BLAS in the process, make kernels deterministic, and return the device to compute on.

    Raises UserError when a GPU is asked for and there is none.
    """
    torch.set_num_threads(threads)
    threadpool_limits(limits=threads)
    torch.backends.cudnn.benchmark = False
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("params.yaml: execution.device is cuda, but torch sees no GPU here; set it to auto or cpu")
    return torch.device("cuda", torch.cuda.current_device())
