"""Upsampling and downsampling between stages: pixel shuffle, bicubic, average pooling (paper section 3.1).

All of them take tokens (batch, tokens, channels) of a square map in raster order.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def pixel_shuffle(x: Tensor, side: int) -> Tensor:
    """(B, side^2, 4C) -> (B, (2 side)^2, C): four channels become a square of 2 x 2 tokens."""
    batch, tokens, channels = x.shape
    # (B, side, side, C, 2, 2) -> (B, side, 2, side, 2, C)
    squares = x.reshape(batch, side, side, channels // 4, 2, 2).permute(0, 1, 4, 2, 5, 3)
    return squares.reshape(batch, 4 * tokens, channels // 4)


def bicubic(x: Tensor, side: int) -> Tensor:
    """(B, side^2, C) -> (B, (2 side)^2, C) by bicubic interpolation."""
    return _resampled(x, side, _bicubic_matrix(side, 2, x.device))


def blur(x: Tensor, side: int) -> Tensor:
    """(B, side^2, C) -> the same shape: the low-pass filter before a pixel shuffle (docs/paper.md 4.5).

    It is bicubic upsampling by 4 followed by averages of 4 x 4 pixels, as in the released code.
    """
    return _resampled(x, side, _bicubic_matrix(side, 4, x.device).view(side, 4, side).mean(1))


def average_pool(x: Tensor, side: int) -> Tensor:
    """(B, side^2, C) -> (B, (side / 2)^2, C): means of 2 x 2 tokens."""
    batch, tokens, channels = x.shape
    # (B, side / 2, 2, side / 2, 2, C) -> (B, side / 2, side / 2, C)
    return x.reshape(batch, side // 2, 2, side // 2, 2, channels).mean(4).mean(2).reshape(batch, tokens // 4, channels)


def _bicubic_matrix(side: int, factor: int, device: torch.device) -> Tensor:
    """Bicubic upsampling (a = -0.75, half-pixel centres, clamped borders) of a row of pixels: (factor * side, side)."""
    rows = torch.eye(side, device=device)[None, None]
    return F.interpolate(rows, (factor * side, side), mode="bicubic", align_corners=False)[0, 0]


def _resampled(x: Tensor, side: int, matrix: Tensor) -> Tensor:
    """(B, side^2, C) -> (B, out^2, C): both directions of the map, one after the other, by `matrix` (out, side).

    Torch's bicubic kernel for GPUs uses a thread for each position of the map, which then goes through images and
    channels alone, and its backward pass adds atomically. Not under autocast, so that the map keeps its type; on a GPU
    with TF32 the products round to 10 bits of mantissa.
    """
    batch, out = len(x), len(matrix)
    matrix = matrix.to(x.dtype)
    with torch.autocast(x.device.type, enabled=False):
        x = matrix @ x.reshape(batch, side, -1)  # (B, side, side * C) -> (B, out, side * C)
        x = matrix @ x.view(batch * out, side, -1)  # (B * out, side, C) -> (B * out, out, C)
    return x.view(batch, out * out, -1)
