"""Attention that no fused kernel serves, in a function of its own: the numbers and derivatives of both orders are those of torch's operators."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from transgan.models.attention import dense_attention
from transgan.models.kernels import double_backward_attention
from transgan.models.kernels.double_backward_attention import suits_plain

IMAGES, HEADS, TOKENS, WIDTH = 3, 2, 7, 5


@pytest.fixture(params=[True, False], ids=["bias", "no bias"])
def inputs(request) -> tuple[Tensor | None, ...]:
    """Query, key and value as SelfAttention has them, views of one tensor, and a bias or none."""
    torch.manual_seed(0)
    qkv = torch.randn(IMAGES, TOKENS, 3, HEADS, WIDTH, dtype=torch.float64)
    bias = torch.randn(HEADS, TOKENS, TOKENS, dtype=torch.float64).requires_grad_() if request.param else None
    return *(x.requires_grad_() for x in qkv.permute(2, 0, 3, 1, 4).unbind(0)), bias


def given(inputs: tuple[Tensor | None, ...]) -> list[Tensor]:
    return [x for x in inputs if x is not None]


def ours(*inputs: Tensor, twice: bool = True) -> Tensor:
    return double_backward_attention.plain_attention(*inputs, *(None,) * (4 - len(inputs)), twice)


def by_operators(*inputs: Tensor) -> Tensor:
    return dense_attention(*inputs, *(None,) * (4 - len(inputs)), twice=True)


def test_values_and_gradients_are_those_of_operators(inputs):
    torch.testing.assert_close(ours(*given(inputs)), by_operators(*given(inputs)))
    assert torch.autograd.gradcheck(ours, given(inputs))


def test_second_derivatives_are_those_of_operators(inputs):
    """Of a loss that looks at output and gradient alike, as a discriminator's with its penalty does."""
    torch.manual_seed(1)
    weight = torch.randn(
        IMAGES, HEADS, TOKENS, WIDTH, dtype=torch.float64, requires_grad=True
    )  # the gradient's own way on

    def derivatives(attend) -> tuple[Tensor, ...]:
        mixed = attend(*given(inputs))
        slopes = torch.autograd.grad((mixed * weight).sum(), inputs[:3], create_graph=True)
        loss = sum((i + slope.square()).log().sum() for i, slope in enumerate(slopes, 1)) + mixed.pow(3).sum()
        return torch.autograd.grad(loss, (*given(inputs), weight))

    for mine, theirs in zip(derivatives(ours), derivatives(by_operators), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_gradient_of_the_bias_too_has_its_derivative_unless_left_out(inputs):
    """What was not announced as differentiated twice can be all the same, as with torch's operators."""
    assert torch.autograd.gradgradcheck(partial(ours, twice=False), given(inputs))
    if inputs[3] is not None:
        (left_out,) = torch.autograd.grad(ours(*inputs).square().sum(), inputs[3], create_graph=True, allow_unused=True)
        assert left_out is None


def test_a_loss_of_the_gradient_alone_has_its_derivative_too(inputs):
    """Then nothing arrives at the output itself."""

    def derivatives(attend) -> tuple[Tensor, ...]:
        (slope,) = torch.autograd.grad(attend(*given(inputs)).sum(), inputs[1], create_graph=True)
        return torch.autograd.grad(slope.square().sum(), given(inputs))

    for mine, theirs in zip(derivatives(ours), derivatives(by_operators), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_third_derivatives_are_refused_not_wrong(inputs):
    (slope,) = torch.autograd.grad(ours(*given(inputs)).square().sum(), inputs[0], create_graph=True)
    (curvature,) = torch.autograd.grad(slope.square().sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        curvature.sum().backward()


def test_it_takes_as_many_multiplications_as_operators_do(inputs):
    def flop(attend) -> int:
        with FlopCounterMode(display=False) as counter:
            mixed = attend(*given(inputs))
            slopes = torch.autograd.grad(mixed.square().sum(), inputs[:3], create_graph=True)
            torch.autograd.grad(sum(slope.square().sum() for slope in slopes) + mixed.sum(), given(inputs))
        return counter.get_total_flops()

    assert (
        flop(ours) == flop(by_operators) == (2 + 4 + 8 + 4) * 2 * IMAGES * HEADS * TOKENS**2 * WIDTH
    )  # forward, gradient, its derivative, backward


def test_only_large_float32_attention_outside_autocast_suits():
    query, bias = torch.empty(1, 4, 64, 64), torch.empty(4, 64, 64)
    assert suits_plain(query, bias)
    assert suits_plain(query, None)
    assert not suits_plain(query[..., :63].expand(64, -1, -1, -1), bias)  # however many the images are
    assert not suits_plain(query.double(), bias.double())
    assert not suits_plain(query.to("meta"), bias.to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert not suits_plain(query, bias)
