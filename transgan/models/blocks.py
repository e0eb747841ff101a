"""Transformer blocks and stages: what the generator and the discriminator are both made of (paper.md 4).

Token sequences are (batch, tokens, channels) in raster order outside a stage.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from transgan.models.attention import CrossAttention, Form, Layout, SelfAttention
from transgan.models.kernels.double_backward import differentiated_twice
from transgan.models.kernels.linear import Linear
from transgan.schema.model import Norm

PIXEL_NORM_EPS = 1e-8


class PixelNorm(nn.Module):
    """Every token divided by the root mean square of its channels; no parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + PIXEL_NORM_EPS)


def build_norm(norm: Norm, width: int) -> nn.Module:
    """The normalisation layer that a configuration names."""
    match norm:
        case "layer":
            return nn.LayerNorm(width)
        case "pixel":
            return PixelNorm()
        case "none":
            return nn.Identity()


@dataclass(frozen=True)
class BlockShape:
    """What the blocks of one stage have in common; `context_width` not None gives each cross-attention to a context of that width."""

    width: int
    heads: int
    mlp_ratio: int
    norm: Norm
    noise: bool
    gain: float = 1.0
    context_width: int | None = None


@dataclass(frozen=True)
class Pass:
    """What one forward pass brings to every block: noise rows in block order, the latent's embedding, and whether blocks recompute."""

    noise: Iterator[Tensor | None]
    context: Tensor | None = None
    recompute: bool = False


class Block(nn.Module):
    """Pre-norm block: x += CrossAttention(x, context) if there is a context; x += Attention(norm x); x += MLP(norm x) with exact GELU."""

    def __init__(self, shape: BlockShape, form: Form | None, relative_position: bool) -> None:
        super().__init__()
        self.gain = shape.gain
        self.cross_attention = (
            None if shape.context_width is None else CrossAttention(shape.width, shape.context_width, shape.heads)
        )
        self.norm1 = build_norm(shape.norm, shape.width)
        self.attention = SelfAttention(shape.width, shape.heads, form, relative_position, shape.noise)
        self.norm2 = build_norm(shape.norm, shape.width)
        self.expand = Linear(shape.width, shape.mlp_ratio * shape.width)
        self.contract = Linear(shape.mlp_ratio * shape.width, shape.width)

    def forward(self, x: Tensor, shared: Pass, band: int | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        noise = next(shared.noise)
        # Settled here, not inside: a recomputation must take the path that the forward pass took.
        twice = differentiated_twice()
        if shared.recompute and torch.is_grad_enabled():
            return checkpoint(
                self._compute, x, noise, shared.context, twice, band, use_reentrant=False, preserve_rng_state=False
            )
        return self._compute(x, noise, shared.context, twice, band)

    def _compute(
        self, x: Tensor, noise: Tensor | None, context: Tensor | None, twice: bool, band: int | None
    ) -> Tensor:
        if self.cross_attention is not None and context is not None:
            x = x + self.cross_attention(x, context, twice)
        x = self._add(x, self.attention(self.norm1(x), noise, twice, band))
        return self._add(x, self.contract(F.gelu(self.expand(self.norm2(x)))))

    def _add(self, x: Tensor, update: Tensor) -> Tensor:
        return x + update if self.gain == 1.0 else (x + update) * self.gain


class Stage(nn.Module):
    """One resolution: an absolute position embedding, then blocks, each in the order of tokens that its attention wants.

    A stage with `class_token` takes one more token in front of the map; all its blocks then attend to everything.
    """

    def __init__(
        self,
        shape: BlockShape,
        side: int,
        block_forms: Sequence[Form],
        absolute_position: bool = True,
        relative_position: bool = True,
        class_token: bool = False,
    ) -> None:
        super().__init__()
        self.side = side
        self.norm = shape.norm
        self.position = (
            nn.Parameter(nn.init.trunc_normal_(torch.empty(1, side * side, shape.width), std=0.02))
            if absolute_position
            else None
        )
        self.layouts = [form.layout for form in block_forms]
        self.blocks = nn.ModuleList(
            Block(shape, None if class_token else form, relative_position) for form in block_forms
        )
        self.noise_tokens = [side * side + class_token if shape.noise else 0] * len(block_forms)

    def forward(self, x: Tensor, shared: Pass, band: int | None = None, class_token: Tensor | None = None) -> Tensor:
        """(B, side * side, C) -> the same, or one token more where `class_token` (1, 1, C) is given; `band`: the last block's locality mask."""
        if self.norm == "layer":
            x = (
                x.contiguous()
            )  # as the transpose of a map it would stay one from sum to sum, and every layer norm would copy it
        if self.position is not None:
            x = x + self.position
        if class_token is not None:
            x = torch.cat([class_token.expand(len(x), -1, -1), x], 1)
        raster = current = Layout(self.side, self.side, self.side)
        for i, (layout, block) in enumerate(zip(self.layouts, self.blocks, strict=True)):
            if layout != current:
                x, current = layout.arrange(current.restore(x)), layout
            x = block(x, shared, band if i == len(self.blocks) - 1 else None)
        return x if current == raster else current.restore(x)


def split_noise(x: Tensor, noise: Tensor | None, tokens: list[int]) -> Iterator[Tensor | None]:
    """Noise of every block, in order, as (B, tokens, 1); None where a block takes none. Drawn here unless `noise` (B, sum of tokens) is given.

    Raises ValueError when `noise` has another width.
    """
    if sum(tokens) == 0:
        return iter([None] * len(tokens))
    if noise is None:
        noise = torch.randn(x.shape[0], sum(tokens), device=x.device)
    if noise.shape != (x.shape[0], sum(tokens)):
        raise ValueError(f"noise is {tuple(noise.shape)}, this network takes {(x.shape[0], sum(tokens))}")
    return iter([piece.unsqueeze(2) for piece in torch.split(noise, tokens, 1)])
