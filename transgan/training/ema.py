"""Exponential moving average (EMA) of the generator: of its parameters; buffers are copied (docs/paper.md 3.1)."""

import torch
from torch import nn

from transgan.schema.recipe import EmaConfig
from transgan.utils import torch_private


def ema_beta(config: EmaConfig, batch: int, n_critic: int, images: int) -> float:
    """Decay of the update after this generator step, with `images` real images shown before its discriminator step.

    0.5 ** (counted / N), where N = min(1000 kimg, warmup * images) is the half-life in images. D has seen n_critic
    batches since the last update; the released code counts one of them, `semantics: intended` counts all.
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
def update_ema(ema: nn.Module, module: nn.Module, beta: float) -> None:
    """ema <- beta * ema + (1 - beta) * module, for parameters; buffers are copied."""
    torch_private.lerp_(list(ema.parameters()), list(module.parameters()), 1 - beta)
    buffers = list(ema.buffers())
    if buffers:
        torch_private.copy_(buffers, list(module.buffers()))
