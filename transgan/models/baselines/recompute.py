"""Blocks whose activations are made again in the backward pass instead of being kept."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def apply_block(block: nn.Module, *inputs: Any, recompute: bool) -> Any:
    """What `block` makes of its inputs; with `recompute` its activations are not kept, and are made again where a gradient needs them."""
    if not (recompute and torch.is_grad_enabled()):
        return block(*inputs)
    return checkpoint(
        block,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (nullcontext(), _CountedOnce(block)),
    )


class _CountedOnce(AbstractContextManager[None]):
    """Inside, batch norms go on normalising by the batch, which does not count in their running statistics. Can be entered again."""

    def __init__(self, block: nn.Module) -> None:
        self._norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
        self._before: list[tuple[float | None, Tensor | None]] = []

    def __enter__(self) -> None:
        self._before = [(norm.momentum, norm.num_batches_tracked) for norm in self._norms]
        for norm in self._norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def __exit__(self, *_: object) -> None:
        for norm, (momentum, counted) in zip(self._norms, self._before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counted
