"""The kernel for large attention under double backward: the same numbers and derivatives as by matrix products."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from transgan.cost.estimate import Counter
from transgan.models.kernels import double_backward_attention as kernel
from transgan.models.kernels.attention import math_attention
from transgan.models.kernels.double_backward_attention import (
    double_backward_attention,
    suits_double_backward_attention,
)

IMAGES, HEADS, TOKENS, WIDTH = 3, 2, 7, 5
Operands = tuple[Tensor | None, ...]


@pytest.fixture(params=[None, 2, 0], ids=["stored", "two images", "less than one image"], autouse=True)
def images_per_part(request, monkeypatch) -> int | None:
    """How many images each part takes; with None the attention weights are stored."""
    if request.param is not None:
        monkeypatch.setattr(kernel, "MAX_STORED_BYTES", 0)
        monkeypatch.setattr(kernel, "PART_BYTES", request.param * TOKENS**2 * 8)
    return request.param


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

    def attention(*operands: Tensor) -> Tensor:
        return double_backward_attention(*operands, bias)

    assert torch.autograd.gradgradcheck(attention, (query, key, value), fast_mode=True)


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


def test_keys_may_be_of_another_number_than_queries():
    """Cross-attention, as of the released CelebA-HQ generator."""
    torch.manual_seed(0)
    operands = [torch.randn(2, 3, tokens, 4, dtype=torch.float64, requires_grad=True) for tokens in (6, 5, 5)]

    def derivatives(attention) -> tuple[Tensor, ...]:
        out = attention(*operands, None)
        gradients = torch.autograd.grad(out.square().sum(), operands, create_graph=True)
        return out, *torch.autograd.grad(sum(gradient.square().sum() for gradient in gradients), operands)

    torch.testing.assert_close(derivatives(double_backward_attention), derivatives(math_attention))


def test_third_derivatives_are_refused_not_wrong(inputs):
    out = double_backward_attention(*inputs).square().sum()
    (gradient,) = torch.autograd.grad(out, inputs[0], create_graph=True)
    (curvature,) = torch.autograd.grad(gradient.square().sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        curvature.sum().backward()


def test_it_needs_as_many_flops_as_matrix_products_and_in_parts_a_third_more(inputs, images_per_part):
    def flop(attention) -> int:
        with FlopCounterMode(display=False) as counter:
            out = attention(*inputs)
            gradients = torch.autograd.grad(out.square().sum(), inputs[:3], create_graph=True)
            torch.autograd.grad(sum(gradient.square().sum() for gradient in gradients) + out.sum(), given(inputs))
        return counter.get_total_flops()

    # Forward, gradient, derivative of the gradient, backward. Parts compute the weights again in each of these but the
    # first, and the gradient of the logits in the third and in the fourth.
    product = 2 * IMAGES * HEADS * TOKENS**2 * WIDTH
    assert flop(math_attention) == (2 + 4 + 8 + 4) * product
    more = 0 if images_per_part is None else 1 + 4 + 1
    assert flop(double_backward_attention) == flop(math_attention) + more * product


def test_bfloat16_rounds_about_as_matrix_products_under_autocast_do():
    """Errors against float64, of the output and of the gradients of a penalty."""
    torch.manual_seed(0)
    exact = [torch.randn(IMAGES, HEADS, TOKENS, WIDTH, dtype=torch.float64) for _ in range(3)]
    exact.append(torch.randn(HEADS, TOKENS, TOKENS, dtype=torch.float64))

    def derivatives(attention, dtype: torch.dtype) -> list[Tensor]:
        *operands, bias = (x.to(dtype).requires_grad_() for x in exact)
        bias = bias.detach().to(torch.promote_types(dtype, torch.float32)).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            out = attention(*operands, bias)
        gradients = torch.autograd.grad(out.square().sum(), operands, create_graph=True)
        norm = sum(gradient.double().square().sum() for gradient in gradients).sqrt()
        return [out, *torch.autograd.grad((norm - 1).square(), (*operands, bias))]

    expected = derivatives(math_attention, torch.float64)

    def errors(attention) -> list[float]:
        found = derivatives(attention, torch.bfloat16)
        return [((a - b).norm() / b.norm()).item() for a, b in zip(found, expected, strict=True)]

    own, plain = errors(double_backward_attention), errors(math_attention)
    assert max(own) < 0.03
    assert sum(own) < 1.5 * sum(plain)


LARGE = torch.empty(1, 4, 64, 64)


def test_large_attention_suits():
    assert suits_double_backward_attention(LARGE, LARGE)
    few = LARGE[..., :63].expand(64, -1, -1, -1)
    assert not suits_double_backward_attention(few, few)  # however many images there are
    with FakeTensorMode():
        assert suits_double_backward_attention(*[torch.empty(1, 4, 64, 64)] * 2)


def test_compiled_code_does_not_use_it():
    def chosen(x: Tensor) -> Tensor:
        return x + 1 if suits_double_backward_attention(x, x) else x - 1

    compiled = torch.compile(chosen, backend="eager", fullgraph=True)
    assert compiled(torch.zeros(1, 4, 64, 64)).max() == -1


@pytest.mark.parametrize("images_per_part", [None], indirect=True)
@pytest.mark.parametrize(("images", "live"), [(16, 5 * kernel.MAX_STORED_BYTES), (17, 6 * kernel.PART_BYTES)])
def test_memory_of_the_weights_is_bounded(images, live):
    """In the discriminator for 256 x 256 pixels: 4,096 tokens and 4 heads, here of 24 channels."""

    def penalty() -> None:
        inputs = [torch.empty(images, 4, 4096, 24, requires_grad=True) for _ in range(3)]
        out = double_backward_attention(*inputs, torch.empty(4, 4096, 4096, requires_grad=True))
        gradients = torch.autograd.grad(out.sum(), inputs, create_graph=True)
        sum(gradient.square().sum() for gradient in gradients).backward()

    with FakeTensorMode(), Counter() as counter:
        _, peak = counter.count(penalty)
    bias, operand = 4 * 4 * 4096**2, images * 4 * 4096 * 24 * 4
    assert peak < live + 3 * bias + 24 * operand


@pytest.mark.parametrize("images_per_part", [None], indirect=True)
@pytest.mark.parametrize(
    ("gib", "images"),
    [(79.1, 16), (139.8, 16), (39.4, 9), (23.6, 5), (11.0, 2)],  # of a GPU, and of 256 x 256 pixels that are stored
)
def test_a_smaller_gpu_stores_less(gib, images, monkeypatch):
    properties = SimpleNamespace(total_memory=int(gib * 2**30))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    one = 4 * 4096**2 * 4
    assert kernel.most_stored_bytes(torch.device("cuda", 0)) // one == images
    assert kernel.most_stored_bytes(torch.device("cpu")) // one == 16
    assert 5 * images * one < gib * 2**30 / 2  # alive at once
