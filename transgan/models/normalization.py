"""Normalization layers of a transformer block, chosen by `norm` in params.yaml.

The paper's "modified normalization" (section 3.3) is `PixelNorm`.
"""

import torch
from torch import Tensor, nn

from transgan.schema.model import Norm

EPSILON = 1e-8


class PixelNorm(nn.Module):
    """The paper's modified normalization: x / sqrt(mean(x^2) + eps) over the channels of each token.

    It has no parameters. eps is 1e-8, as in the released code (paper section 3.3, docs/paper.md 4.1).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON)


def build_norm(norm: Norm, width: int) -> nn.Module:
    """The normalization layer for tokens of `width` channels: layer norm, pixel norm, or none."""
    match norm:
        case "layer":
            return nn.LayerNorm(width)
        case "pixel":
            return PixelNorm()
        case "none":
            return nn.Identity()
