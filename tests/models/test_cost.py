"""Multiply-adds and activation memory of every attention pattern as the map grows, on tensors without content."""

import itertools

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from transgan.cost.estimate import Counter
from transgan.models.attention import SelfAttention
from transgan.models.grid_attention import attention_patterns
from transgan.models.kernels.attention import plain_attention
from transgan.schema.model import Attention, Blocks

SIDES = (64, 128, 256)


def cost(side: int, **attention: object) -> tuple[int, int]:
    """Multiply-adds of one forward pass over one image, and the peak in bytes of a forward and a backward pass."""
    config = Attention.model_validate(attention)
    pattern = attention_patterns((Blocks(depth=1, attention="wide"),), config, side)[0]
    module = SelfAttention(16, 4, pattern, relative_position=False, noise=False)
    with FakeTensorMode(allow_non_fake_inputs=True), plain_attention(), Counter() as counter:
        module.to_empty(device="cpu")
        x = torch.empty(1, side * side, 16, requires_grad=True)
        output: list[torch.Tensor] = []
        flop, _ = counter.count(lambda: output.append(module(x, None)))
        output.clear()
        _, peak = counter.count(lambda: module(x, None).sum().backward())
    return flop // 2, peak


def growth(**attention: object) -> list[tuple[float, float]]:
    costs = [cost(side, **attention) for side in SIDES]
    return [(larger[0] / smaller[0], larger[1] / smaller[1]) for smaller, larger in itertools.pairwise(costs)]


def test_grid_grows_linearly_with_pixels():
    assert growth(attention="grid", window=16) == [(4.0, pytest.approx(4.0, rel=0.01))] * 2


def test_nystrom_grows_linearly_but_for_what_its_landmarks_cost_at_any_size():
    small, middle, large = (cost(side, attention="nystrom", landmarks=64) for side in SIDES)
    assert large[0] - middle[0] == 4 * (middle[0] - small[0])
    assert large[1] - middle[1] == pytest.approx(4 * (middle[1] - small[1]), rel=0.02)


def test_axis_grows_with_the_side_and_standard_with_pixels_squared():
    (_, _), (axis_work, axis_memory) = growth(attention="axis")
    (_, _), (work, memory) = growth(attention="standard")
    assert 6 < axis_work < 8
    assert 6 < axis_memory <= 8.1
    assert 15.9 < work <= 16
    assert 15.9 < memory <= 16


def test_known_numbers_of_multiply_adds():
    tokens, width = 64 * 64, 16
    linear = tokens * width * (3 * width + width)
    assert cost(64, attention="standard")[0] == linear + 2 * tokens * tokens * width
    assert cost(64, attention="grid", window=16)[0] == linear + 2 * tokens * 256 * width
    assert cost(64, attention="axis")[0] == linear + 2 * tokens * 64 * width
