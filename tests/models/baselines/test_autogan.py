"""AutoGAN's generator: sizes, the released cells, skips, batch norm in evaluation mode, recomputation."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from transgan.config import plan
from transgan.models import build_discriminator, build_generator
from transgan.schema.baselines import AutoGANGenerator

MODELS = plan.load(Path(__file__).parents[3] / "params.yaml", "paper").models

# The sum over the released layers: six 3 x 3 convolutions of 256 channels, five 1 x 1, the linear layer, the norm,
# the convolution to RGB.
CELLS = 6 * 256 * (9 * 256 + 1) + 5 * 256 * 257 + 2 * 256 + 3 * (9 * 256 + 1)
PARAMETERS = {
    "autogan-cifar10": (129 * 16 * 256 + CELLS, 1_053_824),
    "autogan-stl10": (129 * 36 * 256 + CELLS, 1_053_824),
}


def small(**changes: Any) -> nn.Module:
    cells = [
        {"upsample": "nearest", "shortcut": True},
        {"upsample": "bilinear", "skips": [0], "shortcut": True},
        {"upsample": "nearest", "skips": [0, 1], "shortcut": False},
    ]
    config = {"family": "autogan", "latent": 5, "width": 6, "bottom_width": 3, "cells": cells}
    return build_generator(AutoGANGenerator.model_validate({**config, **changes}))


@pytest.mark.parametrize("name", PARAMETERS)
def test_full_size_models_have_the_released_layers(name):
    with torch.device("meta"):
        networks = (
            build_generator(MODELS[name].generator),
            build_discriminator(MODELS[name].discriminator, MODELS[name].generator.resolution),
        )
    assert tuple(sum(parameter.numel() for parameter in net.parameters()) for net in networks) == PARAMETERS[name]
    assert PARAMETERS["autogan-cifar10"][0] == 4_405_251


def literal(net: nn.Module, z: Tensor) -> Tensor:
    """As released: skips are upsampled before the 1 x 1 convolution and added in place, for later cells too."""
    x = net.project(z).view(len(z), 6, 3, 3)
    earlier_maps: list[Tensor] = []
    for mode, cell in zip(("nearest", "bilinear", "nearest"), net.cells, strict=True):
        h = cell.conv1(F.interpolate(F.relu(x), scale_factor=2, mode=mode))
        out = h
        for earlier, convolve in zip(earlier_maps, cell.skips, strict=True):
            h += convolve(F.interpolate(earlier, size=h.shape[2:], mode=mode))
        result = cell.conv2(F.relu(h))
        if cell.shortcut is not None:
            result = result + cell.shortcut(F.interpolate(x, scale_factor=2, mode=mode))
        earlier_maps.append(out)
        x = result
    return torch.tanh(net.to_rgb[2](F.relu(net.to_rgb[0](x))))


def test_the_cells_compute_what_the_released_ones_do():
    net, z = small(), torch.randn(4, 5)
    with torch.no_grad():
        torch.testing.assert_close(net(z), literal(net, z))
    assert [len(cell.skips) for cell in net.cells] == [0, 1, 2]
    assert [cell.shortcut is not None for cell in net.cells] == [True, True, False]
    assert sum(isinstance(module, nn.BatchNorm2d) for module in net.modules()) == 1


def test_every_skip_contributes_to_the_image():
    net, z = small().eval(), torch.randn(2, 5)
    before = net(z)
    for cell in net.cells:
        for skip in cell.skips:
            with torch.no_grad():
                bias = skip.bias.clone()
                skip.bias.add_(1)
                assert not torch.allclose(net(z), before, atol=1e-4)
                skip.bias.copy_(bias)
    assert torch.equal(net(z), before)


def test_in_evaluation_mode_an_image_does_not_depend_on_the_batch():
    net, z = small(), torch.randn(6, 5)
    for _ in range(3):
        net(torch.randn(32, 5))
    assert not torch.allclose(net(z)[:1], net(z[:1]), atol=1e-3)
    net.eval()
    torch.testing.assert_close(net(z)[2:3], net(z[2:3]))


def test_recomputed_cells_give_the_same_gradients():
    first, second = small(), small()
    second.load_state_dict(first.state_dict())
    second.checkpoint_activations = True
    z = torch.randn(4, 5)
    for net in (first, second):
        net(z).square().sum().backward()
    torch.testing.assert_close(
        [parameter.grad for parameter in first.parameters()], [parameter.grad for parameter in second.parameters()]
    )


def test_a_skip_from_a_later_cell_is_refused():
    with pytest.raises(ValidationError, match="cell 1: `skips` may only name earlier cells, 0 to 0"):
        small(
            cells=[{"upsample": "nearest", "shortcut": True}, {"upsample": "nearest", "skips": [1], "shortcut": True}]
        )
