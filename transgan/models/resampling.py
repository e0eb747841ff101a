"""Upsampling and downsampling between stages: pixel shuffle, bicubic, average pooling (paper section 3.1).

All of them take tokens (batch, tokens, channels) of a square map in raster order.
"""

import torch.nn.functional as F
from torch import Tensor

# Bicubic x4 (a = -0.75, half-pixel centres, clamped borders), followed by averages of 4 x 4 pixels, equals this
# separable filter over the pixels -2 to 2.
BLUR_TAPS = (-0.01904296875, 0.08984375, 0.8583984375, 0.08984375, -0.01904296875)


def pixel_shuffle(x: Tensor, side: int) -> Tensor:
    """(B, side^2, 4C) -> (B, (2 side)^2, C): four channels become a square of 2 x 2 tokens."""
    batch, tokens, channels = x.shape
    # (B, side, side, C, 2, 2) -> (B, side, 2, side, 2, C)
    squares = x.reshape(batch, side, side, channels // 4, 2, 2).permute(0, 1, 4, 2, 5, 3)
    return squares.reshape(batch, 4 * tokens, channels // 4)


def bicubic(x: Tensor, side: int) -> Tensor:
    """(B, side^2, C) -> (B, (2 side)^2, C) by bicubic interpolation."""
    larger = F.interpolate(_to_map(x, side), scale_factor=2, mode="bicubic", align_corners=False)
    return larger.flatten(2).transpose(1, 2)  # (B, C, 2 side, 2 side) -> (B, (2 side)^2, C)


def blur(x: Tensor, side: int) -> Tensor:
    """(B, side^2, C) -> the same shape: the low-pass filter before a pixel shuffle (docs/paper.md 4.5).

    The released code upsamples by 4 and averages. The filter here gives the same numbers without the larger map.
    """
    x = F.pad(_to_map(x, side), (2, 2, 2, 2), mode="replicate")
    for dim in (2, 3):
        first, *others = [tap * x.narrow(dim, i, side) for i, tap in enumerate(BLUR_TAPS)]
        x = sum(others, start=first)
    return x.flatten(2).transpose(1, 2)


def average_pool(x: Tensor, side: int) -> Tensor:
    """(B, side^2, C) -> (B, (side / 2)^2, C): means of 2 x 2 tokens."""
    batch, tokens, channels = x.shape
    # (B, side / 2, 2, side / 2, 2, C) -> (B, side / 2, side / 2, C)
    return x.reshape(batch, side // 2, 2, side // 2, 2, channels).mean(4).mean(2).reshape(batch, tokens // 4, channels)


def _to_map(x: Tensor, side: int) -> Tensor:
    """(B, side^2, C) -> (B, C, side, side)."""
    return x.transpose(1, 2).reshape(len(x), -1, side, side)
