"""Resampling of tokens: the functions and the derivatives of torch's operators on maps."""

import pytest
import torch
import torch.nn.functional as F

from transgan.models.resampling import average_pool, bicubic, blur, pixel_shuffle

SIDE = 6


def to_map(x: torch.Tensor, side: int = SIDE) -> torch.Tensor:
    return x.transpose(1, 2).reshape(len(x), -1, side, side)


def to_tokens(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2)


def torch_bicubic(x: torch.Tensor, side: int) -> torch.Tensor:
    return to_tokens(F.interpolate(to_map(x, side), scale_factor=2, mode="bicubic", align_corners=False))


def released_blur(x: torch.Tensor, side: int) -> torch.Tensor:
    """Bicubic upsampling by four, then averages."""
    larger = F.interpolate(to_map(x, side), scale_factor=4, mode="bicubic", align_corners=False)
    return to_tokens(F.avg_pool2d(larger, 4))


def test_pixel_shuffle_and_pooling_are_those_of_torch():
    x = torch.randn(2, SIDE * SIDE, 8)
    torch.testing.assert_close(pixel_shuffle(x, SIDE), to_tokens(F.pixel_shuffle(to_map(x), 2)))
    torch.testing.assert_close(average_pool(x, SIDE), to_tokens(F.avg_pool2d(to_map(x), 2)))


@pytest.mark.parametrize(("function", "expected"), [(bicubic, torch_bicubic), (blur, released_blur)])
@pytest.mark.parametrize("side", [1, 2, 6, 16])
def test_bicubic_and_blur_and_their_derivatives_are_those_of_torch(function, expected, side):
    x = torch.randn(2, side * side, 3, dtype=torch.float64, requires_grad=True)
    results = []
    for resampled in (function, expected):
        values = resampled(x, side)
        (gradient,) = torch.autograd.grad(values.pow(3).sum(), x, create_graph=True)
        results.append((values, gradient, *torch.autograd.grad(gradient.square().sum(), x)))
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("function", [bicubic, blur])
def test_resampled_maps_keep_their_precision_under_autocast_and_are_contiguous(function):
    x = torch.randn(2, 8, SIDE * SIDE).transpose(1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(function(x, SIDE), function(x.contiguous(), SIDE))
    assert function(x, SIDE).dtype == torch.float32
    assert function(x, SIDE).is_contiguous()
    assert function(x.bfloat16(), SIDE).dtype == torch.bfloat16
