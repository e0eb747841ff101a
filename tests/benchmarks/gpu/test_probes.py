"""The compared formulas give the same numbers, and attention is probed at the shapes that the networks have."""

import pytest
import torch
import torch.nn.functional as F
from gpu import probes
from gpu.attention_probes import flex, shapes_of
from gpu.runs import named_run

from transgan.models.kernels.attention import math_attention


def test_patches_by_a_linear_layer_are_those_of_the_convolution() -> None:
    images, weight = torch.randn(2, 3, 8, 8, dtype=torch.float64), torch.randn(5, 48, dtype=torch.float64)
    expected = F.conv2d(images, weight.view(5, 3, 4, 4), stride=4)
    torch.testing.assert_close(probes.linear_patches(images, weight, 4), expected)


@pytest.mark.parametrize("side", [22, 64])
def test_filter_by_matrices_equals_convolutions_with_reflected_borders(side: int) -> None:
    images, taps = torch.randn(2, 3, side, side, dtype=torch.float64), torch.randn(2, probes.TAPS, dtype=torch.float64)
    torch.testing.assert_close(
        probes.filter_by_matrices(images, taps), probes.filter_by_convolutions(images, taps), rtol=1e-9, atol=1e-9
    )


def test_the_doubling_matrix_interpolates() -> None:
    maps = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    matrix = probes.doubling_matrix(5)
    expected = F.interpolate(maps, scale_factor=2, mode="bicubic", align_corners=False)
    torch.testing.assert_close(matrix @ maps @ matrix.T, expected)
    torch.testing.assert_close(matrix.sum(1), torch.ones(10, dtype=torch.float64))


def test_flex_attention_has_the_bias_of_the_plain_one() -> None:
    query, key, value = (torch.randn(2, 2, 16, 16) for _ in range(3))
    bias = torch.randn(2, 16, 16)
    torch.testing.assert_close(
        flex(query, key, value, bias), math_attention(query, key, value, bias), rtol=1e-4, atol=1e-5
    )


def test_attention_is_probed_at_the_shapes_of_the_cifar10_pair() -> None:
    found = shapes_of(named_run("transgan-cifar10", dry_run=False))
    # G: 8, 16 and 32 tokens a side with 1024, 256 and 64 channels. D: 16 and 8 a side with 288 and 384 channels, and
    # the last block with a class token and without positions. All have four heads and 64 images.
    assert found == [
        (64, 4, 64, 256, True),
        (64, 4, 256, 64, True),
        (64, 4, 1024, 16, True),
        (64, 4, 256, 72, True),
        (64, 4, 64, 96, True),
        (64, 4, 65, 96, False),
    ]
