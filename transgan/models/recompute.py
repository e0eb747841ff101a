"""Blocks whose activations are made again in the backward pass instead of being kept."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
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
        context_fn=lambda: (nullcontext(), _statistics_stay(block)),
    )


@contextmanager
def _statistics_stay(block: nn.Module) -> Iterator[None]:
    """Batch norms go on normalising by the batch, but it does not count twice in their running statistics."""
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, counted in before:
            norm.momentum, norm.num_batches_tracked = momentum, counted
