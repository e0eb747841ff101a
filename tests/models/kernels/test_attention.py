"""The attention function: every way to compute it gives the same numbers and derivatives as torch's math backend."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.conftest import ROOT
from transgan.config import plan as plans
from transgan.models import double_backward
from transgan.models.grid_attention import attention_patterns
from transgan.models.kernels.attention import attention, fused_attention, math_attention
from transgan.models.relative_position import relative_bias
from transgan.schema.model import TransformerGenerator

IMAGES, HEADS = 2, 3
GPU = "cuda"
Operands = tuple[Tensor, Tensor, Tensor, Tensor | None]


def operands(tokens: int, width: int, bias: str, dtype: torch.dtype = torch.float32) -> Operands:
    """Query, key and value as `SelfAttention` has them, views of one tensor, and a bias: none, fixed or learnt."""
    torch.manual_seed(0)
    qkv = torch.randn(IMAGES, tokens, 3, HEADS, width, dtype=dtype)
    query, key, value = (part.transpose(1, 2).requires_grad_() for part in qkv.unbind(2))
    if bias == "none":
        return query, key, value, None
    return query, key, value, torch.randn(HEADS, tokens, tokens, dtype=dtype).requires_grad_(bias == "learnt")


def by_torch(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias)


def under_double_backward(*inputs: Tensor | None) -> Tensor:
    with double_backward():
        return attention(*inputs)


def learnt(inputs: Operands) -> list[Tensor]:
    return [x for x in inputs if x is not None and x.requires_grad]


def assert_same_first_derivatives(compute, inputs: Operands) -> None:
    outputs = [function(*inputs) for function in (compute, by_torch)]
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-4)
    direction = torch.randn_like(outputs[0])
    gradients = [torch.autograd.grad(out, learnt(inputs), direction) for out in outputs]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


def second_derivatives(compute, inputs: Operands) -> list[Tensor]:
    """Output, gradients with respect to query, key and value, and the gradients of a function of both."""
    out = compute(*inputs)
    gradients = torch.autograd.grad(out.square().sum(), inputs[:3], create_graph=True)
    penalty = sum((gradient.square().sum() - 1).square() for gradient in gradients)
    return [out, *gradients, *torch.autograd.grad(penalty + out.sum(), learnt(inputs))]


# Of the demo's networks (4 or 16 tokens, 2 to 32 channels a head), and beyond what the CPU's own kernel starts at.
SIZES = [(4, 32), (16, 8), (16, 2), (17, 16), (64, 64)]


@pytest.mark.parametrize("bias", ["none", "fixed", "learnt"])
@pytest.mark.parametrize(("tokens", "width"), SIZES)
def test_outputs_and_gradients_are_those_of_torch(tokens, width, bias):
    assert_same_first_derivatives(attention, operands(tokens, width, bias))


@pytest.mark.parametrize("bias", ["none", "fixed", "learnt"])
@pytest.mark.parametrize(("tokens", "width"), SIZES)
def test_second_derivatives_are_those_of_torch(tokens, width, bias):
    inputs = operands(tokens, width, bias, torch.float64)
    torch.testing.assert_close(second_derivatives(under_double_backward, inputs), second_derivatives(by_torch, inputs))


@pytest.mark.parametrize("bias", ["none", "fixed", "learnt"])
def test_small_attention_rounds_the_same_way_in_both_modes_where_no_fused_kernel_serves(bias):
    """Recorded demo results depend on the order of operations of `math_attention`."""
    inputs = operands(16, 8, bias)
    assert torch.equal(under_double_backward(*inputs), math_attention(*inputs))
    assert torch.equal(attention(*inputs), math_attention(*inputs)) == (bias == "learnt")


def test_torch_too_computes_a_bias_that_is_learnt_on_a_cpu_by_matrix_products():
    """Without a choice of backend: there is no gradient of the bias in the CPU's fused kernel."""
    inputs = operands(64, 16, "learnt")
    query, key, value, bias = inputs
    assert torch.equal(F.scaled_dot_product_attention(query, key, value, attn_mask=bias), by_torch(*inputs))


def test_a_fused_kernel_computes_what_it_can_and_nothing_else(monkeypatch):
    calls = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda *args, **kwargs: calls.append(1) or fused(*args, **kwargs)
    )
    for compute, bias, count in [
        (attention, "none", 1),
        (attention, "fixed", 1),
        (attention, "learnt", 0),
        (under_double_backward, "none", 0),
        (under_double_backward, "fixed", 0),
    ]:
        calls.clear()
        compute(*operands(16, 4, bias))
        assert len(calls) == count, (compute.__name__, bias)


def test_a_bias_that_is_not_learnt_now_needs_no_gradient():
    """Under no_grad, as in sampling, a table that requires a gradient keeps the path of training: the same image."""
    inputs = operands(16, 4, "learnt")
    with torch.no_grad():
        assert torch.equal(attention(*inputs), math_attention(*inputs))


def test_a_mask_without_heads_is_shared_by_the_heads():
    query, key, value, _ = operands(16, 4, "none")
    mask = torch.zeros(16, 16).masked_fill(torch.ones(16, 16).triu(1).bool(), float("-inf"))
    out = attention(query, key, value, mask)
    torch.testing.assert_close(out, F.scaled_dot_product_attention(query, key, value, is_causal=True))
    torch.testing.assert_close(under_double_backward(query, key, value, mask), out)


@pytest.mark.parametrize(("width", "multiple"), [(4, 8), (21, 8), (8, 8)])
def test_padding_heads_for_a_fused_kernel_changes_nothing(width, multiple):
    *inputs, bias = operands(10, width, "fixed", torch.float64)
    padded, plain = fused_attention(*inputs, bias, multiple), fused_attention(*inputs, bias)
    assert padded.shape == plain.shape
    torch.testing.assert_close(padded, plain)
    direction = torch.randn_like(plain)
    torch.testing.assert_close(*(torch.autograd.grad(out, inputs, direction) for out in (padded, plain)))


Size = tuple[int, int, int]  # height and width of a tile, channels of a head


def biased_sizes() -> set[Size]:
    """All attention with a bias of relative positions that params.yaml has at the paper's size."""
    sizes: set[Size] = set()
    for run in plans.load(ROOT / "params.yaml", "paper").runs.values():
        for config in (run.model.generator, run.model.discriminator):
            if config.family != "transformer" or not config.relative_position:
                continue
            if isinstance(config, TransformerGenerator):
                sides = config.sides
            else:
                sides = tuple(run.dataset.resolution // (config.patch * 2**i) for i in range(len(config.stages)))
            for stage, side, width in zip(config.stages, sides, config.widths, strict=True):
                for pattern in attention_patterns(stage.blocks, config.wide, side):
                    if pattern.landmarks is None:
                        sizes.add((pattern.tiling.height, pattern.tiling.width, width // config.heads))
    return sizes


def biased_attention(compute, device: str, dtype: torch.dtype, size: Size) -> list[Tensor]:
    """Output and gradients of `compute` with a learnt bias of relative positions, for one image and two heads."""
    height, width, channels = size
    torch.compiler.reset()  # a graph for every size, of which there are more than may be compiled of one function
    torch.manual_seed(0)
    qkv = torch.randn(1, height * width, 3, 2, channels).to(device, dtype).requires_grad_()
    table = torch.randn((2 * height - 1) * (2 * width - 1), 2).to(device, dtype).requires_grad_()

    def function(qkv: Tensor, table: Tensor) -> Tensor:
        query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))
        return compute(query, key, value, relative_bias(table, height, width))

    out = (torch.compile(function, fullgraph=True) if compute is fused_attention else function)(qkv, table)
    return [x.detach().cpu().double() for x in (out, *torch.autograd.grad(out.float().square().sum(), (qkv, table)))]


def assert_compiled_is_exact(device: str, dtype: torch.dtype, tolerance: float) -> None:
    """Of every size of params.yaml."""
    errors = {}
    for size in sorted(biased_sizes()):
        compiled = biased_attention(fused_attention, device, dtype, size)
        exact = biased_attention(math_attention, "cpu", torch.float64, size)
        errors[size] = max(((x - y).norm() / y.norm()).item() for x, y in zip(compiled, exact, strict=True))
    assert {(8, 8, 256), (32, 32, 16), (16, 16, 4), (64, 64, 72)} <= set(errors)
    assert {size: error for size, error in errors.items() if not error < tolerance} == {}


@pytest.mark.slow
def test_compiled_attention_with_a_bias_is_exact(monkeypatch):
    # Without code generation: it is not the code of a GPU. Tested is that everything is captured and differentiated.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    assert_compiled_is_exact("cpu", torch.float32, 1e-4)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_compiled_fused_kernels_of_a_gpu_are_exact(dtype, tolerance):
    assert_compiled_is_exact(GPU, dtype, tolerance)


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("tokens", [64, 144, 256, 1024])
def test_fused_kernels_of_a_gpu_give_every_gradient(tokens, dtype, tolerance):
    torch.manual_seed(0)
    inputs = [torch.randn(2, 4, tokens, 24) for _ in range(3)] + [torch.randn(4, tokens, tokens)]
    exact = [x.to(dtype).double().requires_grad_() for x in inputs]
    fused = [x.to(GPU, dtype).requires_grad_() for x in inputs]
    outputs = [math_attention(*exact), attention(*fused)]
    direction = torch.randn(outputs[0].shape)
    for out in outputs:
        out.backward(direction.to(out))
    for on_gpu, expected in zip(
        [outputs[1], *(x.grad for x in fused)], [outputs[0], *(x.grad for x in exact)], strict=True
    ):
        assert (on_gpu.cpu().double() - expected).norm() < tolerance * expected.norm()
