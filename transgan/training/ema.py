"""Exponential moving average of the generator (paper section 4; docs/paper.md 3.1)."""

import torch
from torch import nn

from transgan.schema.recipe import EmaConfig


def ema_beta(config: EmaConfig, batch: int, n_critic: int, images: int) -> float:
    """Decay of one update after `images` real images shown before this discriminator step.

    0.5 ** (counted / N), N = min(1000 kimg, warmup * images). The released code counts one batch per generator step, though n_critic
    batches have been shown by then; `intended` counts them all.
    """
    if config.beta is not None:
        return config.beta
    assert config.kimg is not None
    half_life = config.kimg * 1000
    if config.warmup:
        half_life = min(half_life, config.warmup * images)
    counted = batch * n_critic if config.semantics == "intended" else batch
    return float(0.5 ** (counted / max(half_life, 1e-8)))


@torch.no_grad()
def update_ema(average: nn.Module, module: nn.Module, beta: float) -> None:
    """average <- beta * average + (1 - beta) * module, for parameters; buffers are copied."""
    torch._foreach_lerp_(list(average.parameters()), list(module.parameters()), 1 - beta)
    buffers = list(average.buffers())
    if buffers:
        torch._foreach_copy_(buffers, list(module.buffers()))
