"""Multi-head self-attention of a transformer block, and cross-attention to the latent (docs/paper.md 4.1, 4.5).

`grid_attention` says which tokens attend to each other. `kernels.attention` computes the attention function itself.
"""

import torch
from torch import Tensor, nn

from transgan.models.grid_attention import AttentionPattern
from transgan.models.kernels.attention import attention
from transgan.models.nystrom_attention import nystrom_attention
from transgan.models.relative_position import relative_bias


class SelfAttention(nn.Module):
    """Multi-head self-attention within runs of consecutive tokens. qkv has no bias, and the scale is head_dim^-1/2.

    `pattern` is None for a sequence that is not a map, such as one with a class token: all of its tokens attend to each
    other, without relative positions. The relative position table is shared by all tiles. Nystrom attention has none,
    because a landmark stands for many positions.
    """

    def __init__(
        self, width: int, heads: int, pattern: AttentionPattern | None, relative_position: bool, noise: bool
    ) -> None:
        super().__init__()
        self.heads = heads
        self.pattern = pattern
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None
        self.relative_table: nn.Parameter | None = None
        if relative_position and pattern is not None and pattern.landmarks is None:
            offsets = (2 * pattern.tiling.height - 1) * (2 * pattern.tiling.width - 1)
            self.relative_table = nn.Parameter(torch.empty(offsets, heads))
            nn.init.trunc_normal_(self.relative_table, std=0.02)

    def forward(self, x: Tensor, noise: Tensor | None, band: Tensor | None = None) -> Tensor:
        """Tokens (B, T, C) in tile order -> (B, T, C).

        `noise` (B, T, 1) is scaled by the learnt strength and added first. `band`, an integer (), limits attention to
        |i - j| <= band.
        """
        batch, tokens, width = x.shape
        if noise is not None and self.noise_strength is not None:
            x = x + noise * self.noise_strength
        length = tokens if self.pattern is None else self.pattern.tiling.length
        # (B, T, 3C) -> (B * tiles, length, 3, heads, head_dim)
        qkv = self.qkv(x).view(batch * tokens // length, length, 3, self.heads, width // self.heads)
        # 3 x (B * tiles, heads, length, head_dim). Unbinding first makes autograd join their gradients in one copy.
        query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))
        if self.pattern is not None and self.pattern.landmarks is not None:
            out = nystrom_attention(query, key, value, self.pattern.landmarks)
        else:
            out = attention(query, key, value, self.attention_bias(length, band))
        # (B * tiles, heads, length, head_dim) -> (B, T, C)
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, width))  # type: ignore[no-any-return]

    def attention_bias(self, length: int, band: Tensor | None) -> Tensor | None:
        """The bias of the logits: relative positions (heads, length, length) and band mask (length, length), added."""
        bias = None
        if self.relative_table is not None and self.pattern is not None:
            bias = relative_bias(self.relative_table, self.pattern.tiling.height, self.pattern.tiling.width)
        if band is not None:
            mask = band_mask(length, band)
            bias = mask if bias is None else bias + mask
        return bias


class CrossAttention(nn.Module):
    """Attention from tokens to an embedding of the latent (released CelebA-HQ generator; docs/paper.md 4.5)."""

    def __init__(self, width: int, context_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(context_width, width, bias=False)
        self.value = nn.Linear(context_width, width, bias=False)
        self.proj = nn.Linear(width, width)
        # The released module declares this parameter and never uses it. Its checkpoints and parameter count include it.
        self.noise_strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Tokens (B, T, C) and context (B, S, D) -> (B, T, C)."""
        query, key, value = (
            self._split_heads(part) for part in (self.query(x), self.key(context), self.value(context))
        )
        out = attention(query, key, value)
        # (B, heads, T, head_dim) -> (B, T, C)
        return self.proj(out.transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]

    def _split_heads(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, heads, T, head_dim)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


def band_mask(length: int, band: Tensor) -> Tensor:
    """Mask (length, length) of the first version's local attention: 0 where |i - j| <= band, else -inf."""
    index = torch.arange(length, device=band.device)
    outside = (index[:, None] - index[None, :]).abs() > band
    return torch.zeros(length, length, device=band.device).masked_fill(outside, float("-inf"))
