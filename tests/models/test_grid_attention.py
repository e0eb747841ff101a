"""Tilings and attention patterns: which tokens of a map attend to each other."""

import pytest
import torch

from transgan.models.grid_attention import AttentionPattern, Tiling, attention_patterns
from transgan.schema.model import GRID, Attention, Blocks

SIDE = 8
WHOLE_MAP = AttentionPattern(Tiling(SIDE, 8, 8))
ROWS, COLUMNS = AttentionPattern(Tiling(SIDE, 1, 8)), AttentionPattern(Tiling(SIDE, 8, 1))


def blocks(attention: str, depth: int, **more: int) -> Blocks:
    return Blocks.model_validate({"attention": attention, "depth": depth, **more})


def test_standard_attention_is_one_tile():
    assert attention_patterns((blocks("standard", 2),), GRID, SIDE) == [WHOLE_MAP, WHOLE_MAP]


def test_grid_attention_has_tiles_of_the_window():
    assert attention_patterns((blocks("grid", 1, window=4),), GRID, SIDE) == [AttentionPattern(Tiling(SIDE, 4, 4))]


def test_a_map_no_larger_than_the_window_is_one_tile():
    assert attention_patterns((blocks("grid", 1, window=16),), GRID, SIDE) == [WHOLE_MAP]


def test_axis_attention_alternates_between_rows_and_columns():
    assert attention_patterns((blocks("axis", 3),), GRID, SIDE) == [ROWS, COLUMNS, ROWS]


def test_nystrom_attention_has_at_most_one_landmark_per_token():
    patterns = attention_patterns((blocks("nystrom", 1, landmarks=16), blocks("nystrom", 1, landmarks=99)), GRID, SIDE)
    assert [pattern.landmarks for pattern in patterns] == [16, SIDE**2]


def test_blocks_with_wide_attention_take_the_setting_of_the_network():
    assert attention_patterns((blocks("wide", 1),), Attention(), SIDE) == [WHOLE_MAP]
    assert attention_patterns((blocks("wide", 1),), Attention(attention="grid", window=2), SIDE) == [
        AttentionPattern(Tiling(SIDE, 2, 2))
    ]


def test_tile_order_on_an_example():
    tiling = Tiling(4, 2, 2)
    x = torch.arange(16.0).view(1, 16, 1)
    assert tiling.to_tiles(x).flatten().tolist()[:8] == [0, 1, 4, 5, 2, 3, 6, 7]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (4, 4), (2, 4), (1, 8), (8, 1)])
def test_tokens_of_a_tile_are_consecutive_and_return_to_raster_order(height, width):
    tiling = Tiling(SIDE, height, width)
    raster = torch.arange(SIDE**2).view(1, -1, 1)
    tiles = tiling.to_tiles(raster).view(-1, tiling.length)
    row, column = tiles // SIDE // height, tiles % SIDE // width
    assert (row == row[:, :1]).all()
    assert (column == column[:, :1]).all()
    assert torch.equal(tiling.to_raster(tiling.to_tiles(raster)), raster)
