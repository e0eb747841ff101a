"""The mode for forward passes that are differentiated twice."""

import pytest
import torch
import torch.nn.functional as F

from transgan.models import double_backward
from transgan.models.kernels.double_backward import double_backward_enabled


def test_the_mode_ends_with_the_context_also_when_nested_or_after_an_error():
    assert not double_backward_enabled()
    with double_backward():
        with double_backward():
            pass
        assert double_backward_enabled()
    with pytest.raises(ArithmeticError), double_backward():
        raise ArithmeticError
    assert not double_backward_enabled()


def test_torchs_attention_can_be_differentiated_twice_inside_and_is_fused_outside():
    def penalty() -> torch.Tensor:
        x = torch.randn(1, 2, 16, 8, requires_grad=True)
        (gradient,) = torch.autograd.grad(F.scaled_dot_product_attention(x, x, x).sum(), x, create_graph=True)
        return gradient.square().sum()

    with double_backward():
        penalty().backward()
    with pytest.raises(RuntimeError, match="not implemented"):
        penalty().backward()


def test_the_mode_can_be_compiled():
    def function(x: torch.Tensor) -> torch.Tensor:
        with double_backward():
            inside = x + 1 if double_backward_enabled() else x - 1
        return inside * 2 if double_backward_enabled() else inside

    assert torch.compile(function, backend="eager", fullgraph=True)(torch.zeros(())) == 1
    assert not double_backward_enabled()
