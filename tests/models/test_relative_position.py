"""The relative position bias against its definition."""

import pytest
import torch

from transgan.models.relative_position import relative_bias


@pytest.mark.parametrize(("height", "width"), [(1, 5), (3, 3), (4, 2)])
def test_the_bias_is_the_table_gathered_at_offsets(height, width):
    table = torch.randn((2 * height - 1) * (2 * width - 1), 2, requires_grad=True)
    bias = relative_bias(table, height, width)
    for query in range(height * width):
        for key in range(height * width):
            row_offset, column_offset = query // width - key // width, query % width - key % width
            entry = table[(row_offset + height - 1) * (2 * width - 1) + column_offset + width - 1]
            assert torch.equal(bias[:, query, key], entry)


@pytest.mark.parametrize(("height", "width"), [(1, 5), (3, 3), (4, 2)])
def test_every_pair_of_tokens_adds_to_the_gradient_of_its_offset(height, width):
    table = torch.randn((2 * height - 1) * (2 * width - 1), 2, requires_grad=True)
    relative_bias(table, height, width).sum().backward()
    assert table.grad is not None
    counts = table.grad[:, 0].view(2 * height - 1, 2 * width - 1)
    assert counts.sum() == (height * width) ** 2
    assert counts[height - 1, width - 1] == height * width  # offset 0: every token with itself
