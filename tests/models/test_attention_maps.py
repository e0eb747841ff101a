"""Attention distances: the same in chunks as at once, with no more weights in memory than allowed."""

import pytest
import torch

from transgan.models import attention_maps
from transgan.models.attention import SelfAttention
from transgan.models.grid_attention import AttentionPattern, Tiling

SIDE, HEADS = 8, 2


def layer(tile: int) -> SelfAttention:
    attention = SelfAttention(
        16, HEADS, AttentionPattern(Tiling(SIDE, tile, tile)), relative_position=True, noise=False
    )
    with torch.no_grad():
        attention.qkv.weight.mul_(20)  # attention that is far from uniform
    return attention


@pytest.mark.parametrize("tile", [4, 8])
# Several tiles, several queries of one tile, one query.
@pytest.mark.parametrize("limit", [2 * 16 * 16 * 3, 2 * 64 * 10, 1])
@torch.no_grad()
def test_distances_computed_in_chunks_are_those_computed_at_once(tile, limit, monkeypatch):
    attention, x = layer(tile), torch.randn(3, SIDE * SIDE, 16)
    at_once = attention_maps._mean_distance(attention, x, None, None, 32)
    chunks = []
    weights = attention_maps._weights

    def recorded(*operands):
        chunks.append(weights(*operands))
        return chunks[-1]

    monkeypatch.setattr(attention_maps, "_weights", recorded)
    monkeypatch.setattr(attention_maps, "MAX_WEIGHTS", limit)
    in_chunks = attention_maps._mean_distance(attention, x, None, None, 32)
    torch.testing.assert_close(in_chunks, at_once, rtol=1e-5, atol=1e-5)
    assert len(chunks) > 1
    assert max(chunk.numel() for chunk in chunks) <= max(limit, HEADS * tile**2)


@torch.no_grad()
def test_uniform_attention_has_the_mean_distance_between_pixels():
    attention, x = layer(SIDE), torch.zeros(1, SIDE * SIDE, 16)
    torch.nn.init.zeros_(attention.relative_table)
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    position = torch.stack([row.flatten(), column.flatten()], 1).double()
    expected = (position[:, None] - position[None]).norm(dim=2).mean() * 4
    distance = attention_maps._mean_distance(attention, x, None, None, 32).double()
    torch.testing.assert_close(distance, expected.expand(HEADS), rtol=1e-4, atol=0)
