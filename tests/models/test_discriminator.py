"""The patch embedding: the function and the derivatives of a strided convolution with the same weights."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from transgan.models.discriminator import PatchEmbedding

# Side and distance of patches, padding of the convolution: in the finest and the coarsest scale of D, and overlapping.
PATCHES = [(2, 2, 0), (8, 8, 0), (4, 2, 1)]


class Operators(TorchDispatchMode):
    """Records the names of the operators that are called inside."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(func))
        return func(*args, **(kwargs or {}))


def penalty(function, images: Tensor, parameters: list[Tensor]) -> tuple[Tensor, ...]:
    """What a gradient penalty computes: values, gradient, and the derivatives of a loss of both."""
    values = function(images)
    (gradient,) = torch.autograd.grad(values.pow(3).sum(), images, create_graph=True)
    loss = (gradient.flatten(1).norm(dim=1) - 1).square().sum() + values.square().sum()
    return values, gradient, *torch.autograd.grad(loss, [images, *parameters])


@pytest.mark.parametrize(("side", "stride", "padding"), PATCHES)
def test_a_patch_embedding_is_a_strided_convolution(side, stride, padding):
    module = PatchEmbedding(5, side, stride).double()
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    parameters = list(module.parameters())

    def convolved(images: Tensor) -> Tensor:
        return F.conv2d(images, *parameters, stride, padding).flatten(2).transpose(1, 2)

    # Also as the generator returns them: the channels of a pixel side by side.
    for layout in (torch.contiguous_format, torch.channels_last):
        given = images.contiguous(memory_format=layout).requires_grad_()
        torch.testing.assert_close(
            penalty(module, given, parameters), penalty(convolved, given, parameters), rtol=1e-10, atol=1e-10
        )


@pytest.mark.parametrize(("side", "stride", "_"), PATCHES)
def test_a_penalty_convolves_nothing(side, stride, _):
    """The double backward of a convolution would convolve with kernels as large as the map."""
    module, images = PatchEmbedding(5, side, stride), torch.randn(2, 3, 16, 16, requires_grad=True)
    with Operators() as operators:
        penalty(module, images, list(module.parameters()))
    assert any("mm" in name for name in operators.names)
    assert not any("conv" in name for name in operators.names)
