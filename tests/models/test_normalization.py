"""Normalization layers against their formulas."""

import pytest
import torch
from torch import nn

from transgan.models.normalization import PixelNorm, build_norm


def test_pixel_norm_is_the_papers_modified_normalization():
    x = 3 * torch.randn(2, 5, 8)
    torch.testing.assert_close(PixelNorm()(x), x / (x.square().mean(-1, keepdim=True) + 1e-8).sqrt())
    assert PixelNorm()(torch.zeros(1, 1, 8)).count_nonzero() == 0


@pytest.mark.parametrize(
    ("norm", "layer", "parameters"), [("layer", nn.LayerNorm, 2), ("pixel", PixelNorm, 0), ("none", nn.Identity, 0)]
)
def test_norms_by_name(norm, layer, parameters):
    module = build_norm(norm, 8)
    assert isinstance(module, layer)
    assert len(list(module.parameters())) == parameters
