"""Where and how arrays are computed: device, threads, precision. Every stage that computes calls `prepare_compute` first.

Threads change the last bits of sums on a CPU, so they are part of a stage's fingerprint and are set here, not by the environment.
"""

import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits
from torch import Tensor

from transgan.errors import UserError
from transgan.hardware.malloc import keep_freed_memory
from transgan.schema.recipe import Precision

logger = logging.getLogger(__name__)


_leases: dict[str, FileLock | None] = {}  # held until the process ends; None: shared


def prepare_compute(threads: int, device: Literal["auto", "cpu", "cuda"] = "auto") -> torch.device:
    """Set the CPU threads of torch and of every BLAS in the process, make kernels deterministic, and return the device to compute on.

    Float32 is computed as such from here on (see `set_precision`). On a machine with several GPUs each process takes one that no other
    process of ours has. Raises UserError when a GPU is asked for and there is none.
    """
    torch.set_num_threads(threads)
    threadpool_limits(limits=threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.enable_cudnn_sdp(False)  # with a mask its gradients can be NaN on Hopper (pytorch issue 196678)
    set_precision("float32")
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        keep_freed_memory()
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError("params.yaml: execution.device is cuda, but torch sees no GPU here; set it to auto or cpu")
    names = [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
    chosen = torch.device("cuda", lease(names))
    torch.cuda.set_device(chosen)
    return chosen


def set_precision(precision: Precision) -> None:
    """How float32 products and convolutions are computed from here on: as such, or in TF32 where a GPU has it.

    TF32 rounds their inputs to 10 bits. In bfloat16 it is for what stays float32 there.
    """
    torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "float32"


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on the device, without waiting for what a GPU is still at: it copies by itself, from memory that stays where it is."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def lease(names: Sequence[str], folder: Path | None = None) -> int:
    """Index of the first of the GPUs `names` that no other process has taken; it stays ours until the process ends.

    Where all are taken, one is shared: the process's turn among those torchrun or we started (LOCAL_RANK), else the first.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"transgan-gpus-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        if name in _leases:
            return i
    for i, name in enumerate(names):
        lock = FileLock(folder / f"{name}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        _leases[name] = lock
        return i
    shared = int(os.environ.get("LOCAL_RANK", "0")) % len(names)
    _leases[names[shared]] = None  # asked again it stays where its networks are
    if len(names) > 1:
        logger.info(f"all {len(names)} GPUs are taken by other processes of ours; this one shares GPU {shared}")
    return shared
