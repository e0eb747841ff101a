"""How far attention reaches: in parts the same as at once, and never more of it in memory than allowed."""

import pytest
import torch

from transgan.models.attention import Form, Layout, SelfAttention
from transgan.training import dynamics

SIDE, HEADS = 8, 2


def layer(tile: int) -> SelfAttention:
    found = SelfAttention(16, HEADS, Form(Layout(SIDE, tile, tile)), relative_position=True, noise=False)
    with torch.no_grad():
        found.qkv.weight.mul_(20)  # attention that is far from even
    return found


@pytest.mark.parametrize("tile", [4, 8])
@pytest.mark.parametrize("most", [2 * 16 * 16 * 3, 2 * 64 * 10, 1])  # some tiles, some queries of one tile, one query
@torch.no_grad()
def test_distances_in_parts_are_those_of_the_whole(tile, most, monkeypatch):
    attention, x = layer(tile), torch.randn(3, SIDE * SIDE, 16)
    whole = dynamics._weighted_distance(attention, x, None, None, 32)
    made = []
    computed = dynamics._weights

    def watched(*operands):
        made.append(computed(*operands))
        return made[-1]

    monkeypatch.setattr(dynamics, "_weights", watched)
    monkeypatch.setattr(dynamics, "MOST_WEIGHTS", most)
    torch.testing.assert_close(dynamics._weighted_distance(attention, x, None, None, 32), whole, rtol=1e-5, atol=1e-5)
    assert len(made) > 1
    assert max(part.numel() for part in made) <= max(most, HEADS * tile**2)


@torch.no_grad()
def test_even_attention_reaches_the_mean_distance():
    attention, x = layer(SIDE), torch.zeros(1, SIDE * SIDE, 16)
    torch.nn.init.zeros_(attention.relative_table)
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    position = torch.stack([row.flatten(), column.flatten()], 1).double()
    expected = (position[:, None] - position[None]).norm(dim=2).mean() * 4
    torch.testing.assert_close(
        dynamics._weighted_distance(attention, x, None, None, 32).double(), expected.expand(HEADS), rtol=1e-4, atol=0
    )
