"""Nystrom attention approximates attention, and its pseudo-inverse inverts."""

import torch

from transgan.models.kernels.attention import math_attention
from transgan.models.nystrom_attention import nystrom_attention, pseudo_inverse


def test_the_error_falls_as_landmarks_grow():
    smooth = torch.randn(2, 2, 8, 16).repeat_interleave(32, 2) + 0.3 * torch.randn(2, 2, 256, 16)
    query, key, value = smooth, smooth.roll(5, 2), torch.randn(2, 2, 256, 16)
    exact = math_attention(query, key, value)
    errors = [
        (nystrom_attention(query, key, value, landmarks) - exact).norm() / exact.norm()
        for landmarks in (4, 16, 64, 256)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1  # with a landmark per token, the error is that of the pseudo-inverse


def test_the_pseudo_inverse_inverts():
    matrix = (3 * torch.randn(5, 12, 12)).softmax(-1) * 0.3 + 0.7 * torch.eye(12)
    torch.testing.assert_close(pseudo_inverse(matrix) @ matrix, torch.eye(12).expand(5, 12, 12), atol=1e-3, rtol=1e-3)


def test_the_pseudo_inverse_is_in_float32_under_autocast():
    matrix = torch.randn(2, 6, 6).softmax(-1)
    with torch.autocast("cpu", torch.bfloat16):
        inverse = pseudo_inverse(matrix)
    assert torch.equal(inverse, pseudo_inverse(matrix))
