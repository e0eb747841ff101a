"""Device, CPU threads and precision of a process. A stage calls `prepare_compute` once and passes the device on.

The number of threads changes the last bits of sums on a CPU. It is therefore part of a stage's fingerprint and set
here, not by the environment. These settings belong to the whole process: library code (models, metrics) takes a device
and changes none of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from transgan.errors import UserError
from transgan.hardware.gpu_lease import lease_gpu
from transgan.hardware.malloc import keep_freed_memory
from transgan.schema.recipe import Precision


def prepare_compute(threads: int, device: Literal["auto", "cpu", "cuda"] = "auto") -> torch.device:
    """Set the CPU threads of PyTorch and of every BLAS, how a GPU chooses kernels, and return the device.

    On a CPU the same work then gives the same bits. On a GPU it need not. cuDNN chooses by rule instead of by timing,
    so the algorithms are the same, but in some of them (the backward passes of fused attention and of some
    convolutions) several threads add to one number, in any order.

    Sets float32 precision (see `set_precision`). On a machine with several GPUs, each process takes one that no other
    process of this project holds. Raises UserError when `device` is "cuda" and there is no GPU.
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
    chosen = torch.device("cuda", lease_gpu(names))
    torch.cuda.set_device(chosen)
    return chosen


def set_precision(precision: Precision) -> None:
    """Set how a GPU computes float32 matrix products and convolutions: in float32 for "float32", otherwise in TF32.

    TF32 rounds their inputs to 10 bits of mantissa. With "bfloat16" it applies to the operations that autocast leaves
    in float32.
    """
    _allow_tf32("highest" if precision == "float32" else "high", precision != "float32")


@contextmanager
def float32_precision() -> Iterator[None]:
    """Compute float32 without TF32 inside the `with` block; restore the previous setting afterwards."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    set_precision("float32")
    try:
        yield
    finally:
        _allow_tf32(*before)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on `device`. A copy to a GPU is asynchronous, from pinned memory, and waits for no other work."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _allow_tf32(products: str, convolutions: bool) -> None:
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions
