"""Attention with a learnt bias, a few images at a time: the same numbers and gradients as among all images at once."""

import pytest
import torch
from torch import Tensor

from transgan.models.attention import dense_attention
from transgan.models.kernels.blockwise_attention import attention_in_parts, suits_parts

IMAGES, HEADS, TOKENS, WIDTH = 3, 2, 12, 5


def of_qkv(dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """Query, key and value as SelfAttention has them, views of one tensor, and a bias."""
    torch.manual_seed(0)
    qkv = torch.randn(IMAGES, TOKENS, 3, HEADS, WIDTH, dtype=dtype)
    bias = torch.randn(HEADS, TOKENS, TOKENS, dtype=dtype)
    return *(x.requires_grad_() for x in qkv.permute(2, 0, 3, 1, 4).unbind(0)), bias.requires_grad_()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_values_and_gradients_are_those_of_plain_products(threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    inputs = of_qkv()
    plain, ours = dense_attention(*inputs, twice=True), attention_in_parts(*inputs)
    torch.testing.assert_close(ours, plain)
    direction = torch.randn_like(plain)
    for mine, theirs in zip(
        torch.autograd.grad(ours, inputs, direction), torch.autograd.grad(plain, inputs, direction), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_gradients_are_derivatives():
    assert torch.autograd.gradcheck(attention_in_parts, of_qkv(torch.float64))


def test_a_band_in_the_bias_keeps_tokens_apart():
    query, key, value, bias = of_qkv()
    outside = (torch.arange(TOKENS)[:, None] - torch.arange(TOKENS)).abs() > 2
    attention_in_parts(query, key, value, bias.masked_fill(outside, float("-inf")))[0, 0, 6].sum().backward()
    assert bias.grad is not None
    assert value.grad is not None
    assert value.grad[0, 0].abs().sum(-1).nonzero().flatten().tolist() == [4, 5, 6, 7, 8]
    assert bias.grad[0].nonzero().tolist() == [[6, token] for token in (4, 5, 6, 7, 8)]


def test_a_second_derivative_is_refused_not_wrong():
    inputs = of_qkv()
    (slope,) = torch.autograd.grad(attention_in_parts(*inputs).square().sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_only_many_float32_weights_outside_autocast_suit():
    query, bias = torch.empty(16, 4, 1024, 1), torch.empty(4, 1024, 1024)
    assert suits_parts(query, bias)
    assert not suits_parts(query[:, :, :1000], bias[:, :1000, :1000])  # however many the images are
    assert not suits_parts(query.double(), bias.double())
    assert not suits_parts(query.to("meta"), bias.to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert not suits_parts(query, bias)
