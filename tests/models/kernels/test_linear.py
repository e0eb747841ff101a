"""Linear layers through oneDNN: the same numbers and derivatives as torch's own."""

from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from transgan.models import double_backward
from transgan.models.kernels import linear
from transgan.models.kernels.linear import Linear


@pytest.fixture
def everything_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "ONEDNN_FROM", 0)


def chosen(output: Tensor) -> bool:
    """Whether an output came through oneDNN; a view of it is what the layer returns."""
    assert output.grad_fn is not None
    return "_Product" in output.grad_fn.next_functions[0][0].name()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(6,), (1, 6), (5, 6), (2, 3, 4, 6)])
def test_values_and_gradients_are_those_of_torch(everything_large, bias, shape):
    torch.manual_seed(0)
    layer, x = Linear(6, 9, bias), torch.randn(shape, requires_grad=True)
    ours = layer(x)
    plain = F.linear(x, layer.weight, layer.bias)
    assert chosen(ours)
    torch.testing.assert_close(ours, plain)
    direction = torch.randn_like(plain)
    wanted = (x, *layer.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(ours, wanted, direction), torch.autograd.grad(plain, wanted, direction), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_derivatives_of_both_orders_are_those_of_the_product(monkeypatch):
    monkeypatch.setattr(linear, "_linear", F.linear)  # oneDNN knows no float64
    torch.manual_seed(0)
    x, weight, bias, gradient = (
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 4, 2), (3, 2), (3,), (2, 4, 3))
    )
    for function, inputs, expected in (
        (linear._Product, (x, weight, bias, False), F.linear(x, weight, bias)),
        (linear._Across, (gradient, weight), gradient @ weight),
        (linear._ForWeight, (gradient, x), torch.einsum("bno,bni->oi", gradient, x)),
    ):
        torch.testing.assert_close(function.apply(*inputs), expected)
        assert torch.autograd.gradcheck(function.apply, inputs)
        assert torch.autograd.gradgradcheck(function.apply, inputs)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(6,), (2, 6), (2, 1, 6)])
def test_a_layer_with_far_more_outputs_than_rows_of_input_convolves_with_the_input(everything_large, bias, shape):
    torch.manual_seed(0)
    layer, x = Linear(6, 2 * linear.TALL, bias), torch.randn(shape, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        ours = layer(x)
    assert set(counter.get_flop_counts()["Global"]) == {torch.ops.aten.convolution}
    assert counter.get_total_flops() == 2 * x.numel() * len(layer.weight)
    assert not chosen(layer(x))
    plain = F.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(ours, plain)
    direction, wanted = torch.randn_like(plain), (x, *layer.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(ours, wanted, direction), torch.autograd.grad(plain, wanted, direction), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("told", [True, False])
def test_a_gradient_penalty_is_that_of_torch(everything_large, told):
    torch.manual_seed(0)
    net = nn.Sequential(Linear(6, 16), nn.GELU(), Linear(16, 1))
    plain = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 1))
    plain.load_state_dict(net.state_dict())
    points = torch.randn(7, 6)

    def gradients(network: nn.Module) -> list[Tensor]:
        x = points.clone().requires_grad_()
        with double_backward() if told else nullcontext():
            output = network(x).sum()
        (slope,) = torch.autograd.grad(output, x, create_graph=True)
        return list(
            torch.autograd.grad(((slope.norm(dim=1) - 1) ** 2).mean(), [p for p in network.parameters() if p.ndim == 2])
        )

    for mine, theirs in zip(gradients(net), gradients(plain), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_gradient_that_is_differentiated_again_costs_nothing_for_weights(everything_large):
    net, x = nn.Sequential(Linear(6, 16), Linear(16, 1)), torch.randn(2, 5, 6, requires_grad=True)

    def flop(context: AbstractContextManager[None]) -> int:
        with context:
            output = net(x).sum()
        with FlopCounterMode(display=False) as counter:
            torch.autograd.grad(output, x, create_graph=True)
        return counter.get_total_flops()

    assert flop(double_backward()) == 2 * 10 * (6 * 16 + 16)
    assert flop(nullcontext()) == 2 * flop(double_backward())


def test_as_many_operations_are_counted_as_of_torchs(everything_large):
    def flop(layer: nn.Linear) -> int:
        x = torch.randn(2, 5, 6, requires_grad=True)
        with FlopCounterMode(display=False) as counter:
            layer(x).sum().backward()
        return counter.get_total_flops()

    assert flop(Linear(6, 16)) == flop(nn.Linear(6, 16)) == 3 * 2 * 10 * 6 * 16


def test_frozen_weights_get_no_gradient_and_pass_one_on(everything_large):
    layer, x = Linear(6, 9).requires_grad_(False), torch.randn(5, 6, requires_grad=True)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is None
    torch.testing.assert_close(x.grad, layer.weight.sum(0).expand(5, 6))


def test_inputs_in_any_memory_order(everything_large):
    layer, x = Linear(6, 9), torch.randn(6, 5)
    torch.testing.assert_close(layer(x.t()), F.linear(x.t(), layer.weight, layer.bias))
    torch.testing.assert_close(
        layer(x[:, :1].t().expand(4, 6)), F.linear(x[:, :1].t().expand(4, 6), layer.weight, layer.bias)
    )


def test_only_large_float32_products_outside_autocast_go_that_way():
    large, small = torch.randn(2**10, 2**9), torch.randn(2**4, 2**9)
    layer = Linear(2**9, 2**9)
    if torch.backends.mkldnn.is_available():
        assert chosen(layer(large))
    assert not chosen(layer(small[None]))
    assert not chosen(layer.double()(large.double()[None]))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.float()(large).dtype == torch.bfloat16
