"""Where layers may choose how to compute what torch would compute otherwise: operator by operator, in float32, on a CPU."""

import torch
from torch import Tensor


def in_eager_float32_on_cpu(*tensors: Tensor) -> bool:
    """Whether a layer whose operands are `tensors` runs like that: not while compiling, and not under autocast."""
    return (
        not torch.compiler.is_compiling()
        and all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in tensors)
        and not torch.is_autocast_enabled("cpu")
    )
