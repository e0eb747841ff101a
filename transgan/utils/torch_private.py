"""Every private interface of PyTorch that this project uses. No other module uses a name of PyTorch with an underscore.

PyTorch may change them in any release. The tests of this module run each of them, with the release named in `TESTED`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

TESTED = "2.15"

__all__ = ["FakeTensorMode", "TorchDispatchMode", "copy_", "lerp_", "load_dynamo", "tree_leaves"]


def copy_(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy every source into its target, of the same shape, in few kernels."""
    torch._foreach_copy_(list(targets), list(sources))


def lerp_(targets: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """target <- target + weight * (end - target) for every pair, in few kernels."""
    torch._foreach_lerp_(list(targets), list(ends), weight)


def load_dynamo() -> None:
    """Import the compiler, which optimizers otherwise import when they are built: it takes seconds."""
