"""Activation checkpointing: blocks that recompute their activations in the backward pass instead of storing them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from transgan.models.kernels.double_backward import double_backward, double_backward_enabled


def apply_block(block: nn.Module, *inputs: Any, recompute: bool) -> Any:
    """Return `block(*inputs)`. With `recompute` its activations are not stored but recomputed in the backward pass.

    A recomputation runs in the mode of the forward pass (`double_backward`), and does not count a batch again in the
    running statistics of batch norms.
    """
    if not (recompute and torch.is_grad_enabled()):
        return block(*inputs)
    return checkpoint(
        block,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (nullcontext(), _Recomputation(block)),
    )


class _Recomputation(AbstractContextManager[None]):
    """Surrounds the recomputations of one block. Each of several backward passes enters it again."""

    def __init__(self, block: nn.Module) -> None:
        self._block = block
        self._double_backward = double_backward_enabled()
        self._stack = ExitStack()

    def __enter__(self) -> None:
        if self._double_backward:
            self._stack.enter_context(double_backward())
        self._stack.enter_context(_frozen_statistics(self._block))

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@contextmanager
def _frozen_statistics(block: nn.Module) -> Iterator[None]:
    """Inside, batch norms normalize by the batch but leave their running statistics alone."""
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    settings = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, settings, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
