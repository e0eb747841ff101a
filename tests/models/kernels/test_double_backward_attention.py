"""The kernel for large attention under double backward: the same numbers and derivatives as by matrix products."""

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from transgan.models.kernels.attention import math_attention
from transgan.models.kernels.double_backward_attention import (
    double_backward_attention,
    suits_double_backward_attention,
)

IMAGES, HEADS, TOKENS, WIDTH = 3, 2, 7, 5
Operands = tuple[Tensor | None, ...]


@pytest.fixture(params=[True, False], ids=["bias", "no bias"])
def inputs(request) -> Operands:
    """Query, key and value as `SelfAttention` has them, views of one tensor, and a bias or none."""
    torch.manual_seed(0)
    qkv = torch.randn(IMAGES, TOKENS, 3, HEADS, WIDTH, dtype=torch.float64)
    bias = torch.randn(HEADS, TOKENS, TOKENS, dtype=torch.float64).requires_grad_() if request.param else None
    return *(x.requires_grad_() for x in qkv.permute(2, 0, 3, 1, 4).unbind(0)), bias


def given(inputs: Operands) -> list[Tensor]:
    return [x for x in inputs if x is not None]


def with_or_without_bias(*operands: Tensor) -> Tensor:
    return double_backward_attention(*operands, *(None,) * (4 - len(operands)))


def test_values_and_gradients_are_those_of_matrix_products(inputs):
    torch.testing.assert_close(double_backward_attention(*inputs), math_attention(*inputs))
    assert torch.autograd.gradcheck(with_or_without_bias, given(inputs))


def test_second_derivatives_are_derivatives(inputs):
    query, key, value, bias = inputs
    bias = None if bias is None else bias.detach()
    assert torch.autograd.gradgradcheck(lambda *qkv: double_backward_attention(*qkv, bias), (query, key, value))


def test_second_derivatives_are_those_of_matrix_products(inputs):
    """Of a loss of output and gradient, as a discriminator's with its penalty is."""
    torch.manual_seed(1)
    # Continues the way of the gradient to the network's input.
    weight = torch.randn(IMAGES, HEADS, TOKENS, WIDTH, dtype=torch.float64, requires_grad=True)

    def derivatives(attention) -> tuple[Tensor, ...]:
        out = attention(*inputs)
        gradients = torch.autograd.grad((out * weight).sum(), inputs[:3], create_graph=True)
        loss = sum((i + gradient.square()).log().sum() for i, gradient in enumerate(gradients, 1)) + out.pow(3).sum()
        return torch.autograd.grad(loss, (*given(inputs), weight))

    torch.testing.assert_close(derivatives(double_backward_attention), derivatives(math_attention))


def test_a_gradient_that_is_differentiated_again_leaves_the_bias_out(inputs):
    if inputs[3] is not None:
        out = double_backward_attention(*inputs).square().sum()
        gradients = torch.autograd.grad(out, given(inputs), create_graph=True, allow_unused=True)
        assert [gradient is None for gradient in gradients] == [False, False, False, True]


def test_a_loss_of_the_gradient_alone_has_its_derivative_too(inputs):
    """The output itself then receives no gradient."""

    def derivatives(attention) -> tuple[Tensor, ...]:
        (gradient,) = torch.autograd.grad(attention(*inputs).sum(), inputs[1], create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), given(inputs))

    torch.testing.assert_close(derivatives(double_backward_attention), derivatives(math_attention))


def test_third_derivatives_are_refused_not_wrong(inputs):
    out = double_backward_attention(*inputs).square().sum()
    (gradient,) = torch.autograd.grad(out, inputs[0], create_graph=True)
    (curvature,) = torch.autograd.grad(gradient.square().sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        curvature.sum().backward()


def test_it_needs_as_many_flops_as_matrix_products(inputs):
    def flop(attention) -> int:
        with FlopCounterMode(display=False) as counter:
            out = attention(*inputs)
            gradients = torch.autograd.grad(out.square().sum(), inputs[:3], create_graph=True)
            torch.autograd.grad(sum(gradient.square().sum() for gradient in gradients) + out.sum(), given(inputs))
        return counter.get_total_flops()

    # Forward, gradient, derivative of the gradient, backward.
    expected = (2 + 4 + 8 + 4) * 2 * IMAGES * HEADS * TOKENS**2 * WIDTH
    assert flop(double_backward_attention) == flop(math_attention) == expected


LARGE, BIAS = torch.empty(1, 4, 64, 64), torch.empty(4, 64, 64)


@pytest.mark.parametrize("bias", [BIAS, nn.Parameter(BIAS), None], ids=["tensor", "parameter", "none"])
def test_large_float32_attention_suits(bias):
    assert suits_double_backward_attention(LARGE, bias)


@pytest.mark.parametrize(
    ("query", "bias"),
    [
        (LARGE[..., :63].expand(64, -1, -1, -1), BIAS),  # however many images there are
        (LARGE.double(), BIAS.double()),
        (LARGE.bfloat16(), BIAS),
        (LARGE, BIAS.double()),
        (LARGE.to("meta"), BIAS.to("meta")),
    ],
    ids=["small", "float64", "bfloat16", "mixed", "meta"],
)
def test_small_attention_and_other_types_do_not_suit(query, bias):
    assert not suits_double_backward_attention(query, bias)


def test_tensors_without_content_do_not_suit():
    with FakeTensorMode():
        assert not suits_double_backward_attention(torch.empty(1, 4, 64, 64), None)


def test_autocast_and_compilation_do_not_suit():
    with torch.autocast("cpu", torch.bfloat16):
        assert not suits_double_backward_attention(LARGE, BIAS)

    def chosen(x: Tensor) -> Tensor:
        return x + 1 if suits_double_backward_attention(x, None) else x - 1

    compiled = torch.compile(chosen, backend="eager", fullgraph=True)
    assert compiled(torch.zeros(1, 4, 64, 64)).max() == -1
