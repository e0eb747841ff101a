"""Self-attention in every form of the paper behind one interface: which tokens see each other, and how that is computed.

The standard, grid and axis forms differ only in the tile whose tokens attend to each other: the whole map, a square, a row or a column.
`Layout` brings a tile's tokens together once for consecutive blocks, after which attention is dense inside runs of equal length.
Nystrom attention approximates the dense one through landmarks.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transgan.models.kernels.blockwise_attention import attention_in_parts, suits_parts
from transgan.models.kernels.double_backward_attention import plain_attention, suits_plain
from transgan.models.kernels.linear import Linear
from transgan.schema.model import Attention, Blocks

PSEUDO_INVERSE_STEPS = 6


@dataclass(frozen=True)
class Layout:
    """An order of the tokens of a (side, side) map in which the tokens of each (height, width) tile are consecutive."""

    side: int
    height: int
    width: int

    @property
    def length(self) -> int:
        """Tokens of a tile."""
        return self.height * self.width

    def arrange(self, x: Tensor) -> Tensor:
        """Raster order -> tile order, (B, side * side, C) both."""
        return self._swap(x, self.side // self.height, self.height, self.side // self.width, self.width)

    def restore(self, x: Tensor) -> Tensor:
        """Tile order -> raster order, (B, side * side, C) both."""
        return self._swap(x, self.side // self.height, self.side // self.width, self.height, self.width)

    def _swap(self, x: Tensor, *sides: int) -> Tensor:
        return x.reshape(len(x), *sides, -1).transpose(2, 3).reshape(x.shape)


@dataclass(frozen=True)
class Form:
    """How one block attends: dense inside each tile of a layout or, with `landmarks`, approximated over the whole of it."""

    layout: Layout
    landmarks: int | None = None


def forms(groups: tuple[Blocks, ...], wide: Attention, side: int) -> list[Form]:
    """The form of every block of a stage, in order. Axis attention alternates: rows, columns, rows ... (paper.md 1.4)."""
    return [_form(group.form(wide), i, side) for group in groups for i in range(group.depth)]


def _form(config: Attention, index: int, side: int) -> Form:
    whole = Layout(side, side, side)
    match config.attention:
        case "standard":
            return Form(whole)
        case "grid":
            window = min(config.window or side, side)
            return Form(Layout(side, window, window))
        case "axis":
            return Form(Layout(side, 1, side) if index % 2 == 0 else Layout(side, side, 1))
        case "nystrom":
            return Form(whole, min(config.landmarks, side * side))


class SelfAttention(nn.Module):
    """Multi-head self-attention inside runs of consecutive tokens (paper.md 4): qkv without bias, projection with, scale head_dim^-1/2.

    `form` None is attention among all tokens of a sequence that is no map (with a class token). The relative position bias (Swin's) is a
    table over the offsets in a tile, one for all tiles and images; landmarks stand for many positions, so Nystrom attention has none.
    """

    def __init__(self, width: int, heads: int, form: Form | None, relative_position: bool, noise: bool) -> None:
        super().__init__()
        self.heads = heads
        self.form = form
        self.qkv = Linear(width, 3 * width, bias=False)
        self.proj = Linear(width, width)
        self.noise_strength = nn.Parameter(torch.zeros(())) if noise else None
        self.relative_table: nn.Parameter | None = None
        if relative_position and form is not None and form.landmarks is None:
            offsets = (2 * form.layout.height - 1) * (2 * form.layout.width - 1)
            self.relative_table = nn.Parameter(torch.empty(offsets, heads))
            nn.init.trunc_normal_(self.relative_table, std=0.02)

    def forward(self, x: Tensor, noise: Tensor | None, twice: bool, band: int | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C); `noise` is (B, T, 1); `band` limits attention to |i - j| <= band; `twice`: see double_backward."""
        batch, tokens, width = x.shape
        if noise is not None and self.noise_strength is not None:
            x = x + noise * self.noise_strength
        length = tokens if self.form is None else self.form.layout.length
        qkv = self.qkv(x).view(batch * tokens // length, length, 3, self.heads, width // self.heads)
        query, key, value = (x.transpose(1, 2) for x in qkv.unbind(2))  # in this order their gradients meet in one copy
        if self.form is not None and self.form.landmarks is not None:
            mixed = nystrom_attention(query, key, value, self.form.landmarks)
        else:
            mixed = dense_attention(query, key, value, self._bias(length, band, x.device), twice)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))  # type: ignore[no-any-return]

    def _bias(self, length: int, band: int | None, device: torch.device) -> Tensor | None:
        bias = None
        if self.relative_table is not None and self.form is not None:
            bias = relative_bias(self.relative_table, self.form.layout.height, self.form.layout.width)
        if band is not None:
            index = torch.arange(length, device=device)
            outside = (index[:, None] - index[None, :]).abs() > band
            mask = torch.zeros(length, length, device=device).masked_fill(outside, float("-inf"))
            bias = mask if bias is None else bias + mask
        return bias


class CrossAttention(nn.Module):
    """Attention from the tokens of the map to an embedding of the latent, in the released CelebA-HQ generator (paper.md 4.5)."""

    def __init__(self, width: int, context_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width, bias=False)
        self.key = Linear(context_width, width, bias=False)
        self.value = Linear(context_width, width, bias=False)
        self.proj = Linear(width, width)
        # The released module declares it and never uses it; it is here so that its checkpoints and its parameter count are complete.
        self.noise_strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, context: Tensor, twice: bool) -> Tensor:
        """(B, T, C) tokens and (B, S, D) context -> (B, T, C)."""
        query, key, value = self._split(self.query(x)), self._split(self.key(context)), self._split(self.value(context))
        mixed = dense_attention(query, key, value, None, twice)
        return self.proj(mixed.transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


def relative_bias(table: Tensor, height: int, width: int) -> Tensor:
    """The (heads, N, N) bias of a tile of N = height * width tokens from a table of ((2 height - 1) * (2 width - 1), heads).

    Row q, column k holds the table's entry at offset q - k. Two unfoldings make the same matrix as gathering by an index of N * N
    entries would, with a backward pass that is no scatter (paper.md 4).
    """
    grid = table.view(2 * height - 1, 2 * width - 1, -1).permute(2, 0, 1).contiguous()
    windows = grid.unfold(1, height, 1).unfold(
        2, width, 1
    )  # head, query row, query column, and of keys the same from the last to the first
    return windows.reshape(-1, height * width, height * width).flip(2)


def dense_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, twice: bool) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v for (B, heads, N, d) and a (heads, N, N) bias, by a fused kernel where there is one.

    There is none for what is differentiated `twice` (the CPU's kernel then fails, others have no second derivative), nor on a CPU for
    the gradient of a bias that is being learnt; that one is had a few images at a time where each has many weights. What is left of large
    attention has a function of its own on a CPU.
    """
    learnt_on_cpu = bias is not None and bias.requires_grad and bias.device.type == "cpu"
    if not twice and not learnt_on_cpu:
        return (
            F.scaled_dot_product_attention(query, key, value)
            if bias is None
            else biased_attention(query, key, value, bias)
        )
    if not twice and bias is not None and suits_parts(query, bias):
        return attention_in_parts(query, key, value, bias)
    if suits_plain(query, bias):
        return plain_attention(query, key, value, bias, twice)
    logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if bias is not None:
        logits += bias
    weights: Tensor = logits.softmax(-1).to(value.dtype)
    return weights @ value


def biased_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, unit: int | None = None) -> Tensor:
    """Fused attention with a bias. A GPU's kernel for it takes heads in units of 16 bytes: narrower ones are filled up with zeros.

    They add nothing, and without them torch would silently compute without a fused kernel. `unit`: columns that heads are filled up to a
    multiple of; by default those 16 bytes on a GPU, 1 on a CPU.
    """
    width = query.shape[-1]
    spare = -width % (unit or (1 if query.device.type == "cpu" else 16 // query.element_size()))
    if spare:
        query, key, value = (F.pad(x, (0, spare)) for x in (query, key, value))
    scale = width**-0.5 if spare else None
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias[None].to(query.dtype), scale=scale)
    return mixed[..., :width] if spare else mixed


def nystrom_attention(query: Tensor, key: Tensor, value: Tensor, landmarks: int) -> Tensor:
    """Attention over (B, heads, N, d) through `landmarks` means of consecutive queries and keys, linear in N.

    softmax(q k~^T) pinv(softmax(q~ k~^T)) softmax(q~ k^T) v, with the pseudo-inverse by six steps of a third-order iteration
    (Nystromformer, arXiv 2102.03902; row (B) of the paper's ablation, paper.md 1.4). N is a multiple of `landmarks`.
    """
    query = query * query.shape[-1] ** -0.5
    few_queries, few_keys = (x.reshape(*x.shape[:2], landmarks, -1, x.shape[3]).mean(3) for x in (query, key))
    to_landmarks = (query @ few_keys.transpose(-2, -1)).softmax(-1)
    among_landmarks = (few_queries @ few_keys.transpose(-2, -1)).softmax(-1)
    from_landmarks = (few_queries @ key.transpose(-2, -1)).softmax(-1)
    summary = from_landmarks.to(value.dtype) @ value
    return to_landmarks.to(value.dtype) @ (pseudo_inverse(among_landmarks).to(value.dtype) @ summary)


def pseudo_inverse(matrix: Tensor) -> Tensor:
    """Moore-Penrose inverse of (..., m, m) row-stochastic matrices by iteration, in float32 at least: no decomposition, differentiable twice."""
    with torch.autocast(matrix.device.type, enabled=False):
        matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
        identity = torch.eye(matrix.shape[-1], device=matrix.device, dtype=matrix.dtype)
        bound = matrix.sum(-2).amax(-1) * matrix.sum(-1).amax(
            -1
        )  # of the largest singular value squared: entries are positive
        inverse: Tensor = matrix.transpose(-2, -1) / bound[..., None, None]
        for _ in range(PSEUDO_INVERSE_STEPS):
            product = matrix @ inverse
            inverse = 0.25 * inverse @ (13 * identity - product @ (15 * identity - product @ (7 * identity - product)))
        return inverse
