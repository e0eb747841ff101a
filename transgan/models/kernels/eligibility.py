"""Where layers may choose how to compute what torch would compute otherwise: operator by operator, in float32, on a CPU."""

import torch
from torch import Tensor, nn

ORDINARY = (Tensor, nn.Parameter)


def in_eager_float32_on_cpu(*tensors: Tensor) -> bool:
    """Whether a layer whose operands are `tensors` runs like that: not while compiling, not under autocast.

    Nor on tensors without content (`transgan.cost.estimate`): what is counted there is the way of all devices.
    """
    return (
        not torch.compiler.is_compiling()
        and all(
            type(tensor) in ORDINARY and tensor.device.type == "cpu" and tensor.dtype == torch.float32
            for tensor in tensors
        )
        and not torch.is_autocast_enabled("cpu")
    )
