"""Transformer blocks and stages, of which generator and discriminator consist (docs/paper.md 4.1, 4.2).

Tokens are (batch, tokens, channels), in raster order outside a stage.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transgan.models.activation_checkpointing import apply_block
from transgan.models.attention import CrossAttention, SelfAttention
from transgan.models.grid_attention import AttentionPattern, Tiling
from transgan.models.normalization import build_norm
from transgan.schema.model import Norm


@dataclass(frozen=True)
class BlockShape:
    """What the blocks of one stage have in common. With `context_width`, each has cross-attention to such a context."""

    width: int
    heads: int
    mlp_ratio: int
    norm: Norm
    noise: bool
    gain: float = 1.0
    context_width: int | None = None


@dataclass(frozen=True)
class BlockInputs:
    """What a forward pass of a network gives to its blocks besides the tokens."""

    noise: Iterator[Tensor | None]  # the next block's noise (B, T, 1), in the order of the blocks
    context: Tensor | None = None  # (B, S, D) embedding of the latent
    recompute: bool = False  # activation checkpointing

    def apply(self, block: nn.Module, x: Tensor, band: Tensor | None = None) -> Tensor:
        """The next block's output for tokens x (B, T, C)."""
        out: Tensor = apply_block(block, x, next(self.noise), self.context, band, recompute=self.recompute)
        return out


class Block(nn.Module):
    """Pre-norm transformer block: x + Attention(norm(x)), then x + MLP(norm(x)), with exact GELU.

    With a context, cross-attention to it comes first. `gain` scales each sum.
    """

    def __init__(self, shape: BlockShape, pattern: AttentionPattern | None, relative_position: bool) -> None:
        super().__init__()
        self.gain = shape.gain
        self.cross_attention = (
            None if shape.context_width is None else CrossAttention(shape.width, shape.context_width, shape.heads)
        )
        self.norm1 = build_norm(shape.norm, shape.width)
        self.attention = SelfAttention(shape.width, shape.heads, pattern, relative_position, shape.noise)
        self.norm2 = build_norm(shape.norm, shape.width)
        self.expand = nn.Linear(shape.width, shape.mlp_ratio * shape.width)
        self.contract = nn.Linear(shape.mlp_ratio * shape.width, shape.width)

    def forward(
        self, x: Tensor, noise: Tensor | None = None, context: Tensor | None = None, band: Tensor | None = None
    ) -> Tensor:
        """Tokens (B, T, C), noise (B, T, 1) and context (B, S, D) -> (B, T, C). For `band` see `SelfAttention`."""
        if self.cross_attention is not None and context is not None:
            x = x + self.cross_attention(x, context)
        x = self._add(x, self.attention(self.norm1(x), noise, band))
        # The MLP: (B, T, C) -> (B, T, mlp_ratio * C) -> (B, T, C)
        return self._add(x, self.contract(F.gelu(self.expand(self.norm2(x)))))

    def _add(self, x: Tensor, update: Tensor) -> Tensor:
        return x + update if self.gain == 1.0 else (x + update) * self.gain


class Stage(nn.Module):
    """The blocks of one resolution, after an absolute position embedding.

    The tokens are reordered wherever a block's tiles differ from those of the previous block. With `class_token` the
    stage takes one more token in front of the map, and all tokens attend to each other in all of its blocks.
    """

    def __init__(
        self,
        shape: BlockShape,
        side: int,
        patterns: Sequence[AttentionPattern],
        absolute_position: bool = True,
        relative_position: bool = True,
        class_token: bool = False,
    ) -> None:
        super().__init__()
        self.side = side
        self.position = (
            nn.Parameter(nn.init.trunc_normal_(torch.empty(1, side * side, shape.width), std=0.02))
            if absolute_position
            else None
        )
        self.tilings = [pattern.tiling for pattern in patterns]
        self.blocks = nn.ModuleList(
            Block(shape, None if class_token else pattern, relative_position) for pattern in patterns
        )
        self.noise_tokens = [side * side + class_token if shape.noise else 0] * len(patterns)

    def forward(
        self, x: Tensor, inputs: BlockInputs, band: Tensor | None = None, class_token: Tensor | None = None
    ) -> Tensor:
        """Tokens (B, side * side, C) -> the same shape, or one token more if `class_token` (1, 1, C) is given.

        `band` limits the attention of the last block.
        """
        if self.position is not None:
            x = x + self.position
        if class_token is not None:
            x = torch.cat([class_token.expand(len(x), -1, -1), x], 1)  # (B, 1 + side * side, C)
        raster = current = Tiling(self.side, self.side, self.side)
        for i, (tiling, block) in enumerate(zip(self.tilings, self.blocks, strict=True)):
            if tiling != current:
                x, current = tiling.to_tiles(current.to_raster(x)), tiling
            x = inputs.apply(block, x, band if i == len(self.blocks) - 1 else None)
        return x if current == raster else current.to_raster(x)


def split_noise(x: Tensor, noise: Tensor | None, tokens: list[int]) -> Iterator[Tensor | None]:
    """Noise of every block, in order, as (B, tokens, 1); None for a block with 0 `tokens`, which takes none.

    Splits `noise` (B, sum of tokens) if given, else samples standard normal numbers on the device of x. Raises
    ValueError if `noise` has another shape.
    """
    if sum(tokens) == 0:
        return iter([None] * len(tokens))
    if noise is None:
        noise = torch.randn(x.shape[0], sum(tokens), device=x.device)
    if noise.shape != (x.shape[0], sum(tokens)):
        raise ValueError(f"noise is {tuple(noise.shape)}, but this network takes {(x.shape[0], sum(tokens))}")
    return iter([part.unsqueeze(2) for part in torch.split(noise, tokens, 1)])
