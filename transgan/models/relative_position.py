"""Relative position encoding: a learnt bias of the attention logits (paper section 3.3, docs/paper.md 4.1)."""

from torch import Tensor


def relative_bias(table: Tensor, height: int, width: int) -> Tensor:
    """Bias (heads, N, N) for a tile of N = height * width tokens, from a table ((2 height - 1) * (2 width - 1), heads).

    Row q, column k holds the table's entry at offset q - k, as in Swin. Unfolding the table twice gives the same matrix
    as gathering N * N entries by index, but its backward pass needs no scatter.
    """
    # (offsets, heads) -> (heads, 2 height - 1, 2 width - 1)
    grid = table.view(2 * height - 1, 2 * width - 1, -1).permute(2, 0, 1).contiguous()
    # (heads, query row, query column, key row, key column); the keys run from the last to the first
    windows = grid.unfold(1, height, 1).unfold(2, width, 1)
    return windows.reshape(-1, height * width, height * width).flip(2)
