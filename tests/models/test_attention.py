"""Self-attention with every pattern: compared with masked attention, twice differentiable, under autocast."""

from contextlib import nullcontext

import pytest
import torch

from transgan.models import double_backward
from transgan.models.attention import CrossAttention, SelfAttention, band_mask
from transgan.models.grid_attention import AttentionPattern, Tiling
from transgan.models.kernels import attention, double_backward_attention

SIDE, WIDTH, HEADS = 8, 12, 3
DENSE = {
    f"{height}x{width}": AttentionPattern(Tiling(SIDE, height, width))
    for height, width in ((8, 8), (4, 4), (2, 2), (1, 8), (8, 1))
}
PATTERNS = {**DENSE, "nystrom": AttentionPattern(Tiling(SIDE, 8, 8), 16), "sequence": None}


def reference(module: SelfAttention, x: torch.Tensor, tiling: Tiling) -> torch.Tensor:
    """Attention over all tokens in raster order, masked outside tiles, with a bias gathered offset by offset."""
    query, key, value = module.qkv(x).view(len(x), SIDE * SIDE, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
    logits = query @ key.transpose(-2, -1) / (WIDTH // HEADS) ** 0.5
    row, column = torch.arange(SIDE * SIDE) // SIDE, torch.arange(SIDE * SIDE) % SIDE
    height, width = tiling.height, tiling.width
    if module.relative_table is not None:
        row_offset = (row[:, None] - row[None, :]).clamp(1 - height, height - 1) + height - 1
        column_offset = (column[:, None] - column[None, :]).clamp(1 - width, width - 1) + width - 1
        logits = logits + module.relative_table[row_offset * (2 * width - 1) + column_offset].permute(2, 0, 1)
    tile = (row // height) * SIDE + column // width
    logits = logits.masked_fill(tile[:, None] != tile[None, :], float("-inf"))
    return module.proj((logits.softmax(-1) @ value).transpose(1, 2).reshape(x.shape))


@pytest.mark.parametrize("pattern", DENSE.values(), ids=DENSE)
@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("mode", [nullcontext, double_backward])
def test_attention_within_tiles_is_masked_attention_over_the_map(pattern, relative, mode):
    module = SelfAttention(WIDTH, HEADS, pattern, relative, noise=False)
    if relative:
        torch.nn.init.normal_(module.relative_table)
    x = torch.randn(3, SIDE * SIDE, WIDTH)
    with mode():
        out = pattern.tiling.to_raster(module(pattern.tiling.to_tiles(x), None))
    torch.testing.assert_close(out, reference(module, x, pattern.tiling), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_every_pattern_is_twice_differentiable(pattern):
    module = SelfAttention(WIDTH, HEADS, pattern, True, noise=True).double()
    x = torch.randn(1, SIDE * SIDE, WIDTH, dtype=torch.double, requires_grad=True)

    def loss(x: torch.Tensor) -> torch.Tensor:
        with double_backward():
            return module(x, torch.ones(1, SIDE * SIDE, 1)).square().sum()

    first, second = torch.randn_like(x), torch.randn_like(x)
    (gradient,) = torch.autograd.grad(loss(x), x, create_graph=True)
    (curvature,) = torch.autograd.grad((gradient * first).sum(), x)
    step = 1e-4
    ahead, behind = (torch.autograd.grad(loss(x + sign * step * second), x)[0] for sign in (1, -1))
    torch.testing.assert_close(
        (curvature * second).sum(), ((ahead - behind) / (2 * step) * first).sum(), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_under_bfloat16_autocast_outputs_stay_near_float32(pattern):
    module = SelfAttention(WIDTH, HEADS, pattern, True, noise=False)
    x = torch.randn(2, SIDE * SIDE, WIDTH)
    with torch.no_grad():
        exact = module(x, None)
        for mode in (nullcontext, double_backward):
            with torch.autocast("cpu", torch.bfloat16), mode():
                rough = module(x, None)
            assert rough.dtype == torch.bfloat16
            assert (rough - exact).abs().max() < 0.05 * exact.abs().max().clamp(min=1)


def test_noise_is_added_with_its_learnt_strength_before_qkv():
    module = SelfAttention(WIDTH, HEADS, DENSE["4x4"], True, noise=True)
    x, noise = torch.randn(2, SIDE * SIDE, WIDTH), torch.randn(2, SIDE * SIDE, 1)
    assert torch.equal(module(x, noise), module(x, None))  # the strength is 0 at first
    torch.nn.init.constant_(module.noise_strength, 0.5)
    assert torch.equal(module(x, noise), module(x + 0.5 * noise, None))


def test_a_band_limits_which_tokens_attend_to_each_other():
    module = SelfAttention(WIDTH, HEADS, AttentionPattern(Tiling(4, 4, 4)), False, noise=False)
    x = torch.randn(1, 16, WIDTH, requires_grad=True)
    module(x, None, band=torch.tensor(2))[0, 7].sum().backward()
    assert x.grad[0].abs().sum(-1).nonzero().flatten().tolist() == [5, 6, 7, 8, 9]


def test_a_band_and_relative_positions_add_up():
    module = SelfAttention(WIDTH, HEADS, AttentionPattern(Tiling(4, 4, 4)), True, noise=False)
    bias = module.attention_bias(16, torch.tensor(3))
    assert torch.equal(bias, module.attention_bias(16, None) + band_mask(16, torch.tensor(3)))
    assert bias.isneginf().sum() == HEADS * (16 * 16 - 16 - 2 * (15 + 14 + 13))


def test_cross_attention_is_a_weighted_mean_of_the_context():
    module, x, context = CrossAttention(WIDTH, 6, HEADS), torch.randn(2, 5, WIDTH), torch.randn(2, 4, 6)
    out = module(x, context)
    for head in range(HEADS):
        part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        query, key, value = module.query(x)[..., part], module.key(context)[..., part], module.value(context)[..., part]
        weights = (query @ key.mT / (WIDTH // HEADS) ** 0.5).softmax(-1)
        parts = torch.zeros(2, 5, WIDTH)
        parts[..., part] = weights @ value
        out = out - parts @ module.proj.weight.t()
    torch.testing.assert_close(out, module.proj.bias.expand(2, 5, WIDTH), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("mode", "calls"), [(double_backward, 1), (nullcontext, 0)])
def test_large_attention_has_a_kernel_of_its_own_under_double_backward(mode, calls, monkeypatch):
    module, x = (
        SelfAttention(WIDTH, HEADS, AttentionPattern(Tiling(4, 4, 4)), True, noise=False),
        torch.randn(2, 16, WIDTH),
    )

    def run() -> tuple[torch.Tensor, ...]:
        with mode():
            out = module(x, None)
        return out, *torch.autograd.grad(out.square().sum(), list(module.parameters()))

    small = run()
    kernel, called = attention.double_backward_attention, []
    monkeypatch.setattr(attention, "double_backward_attention", lambda *inputs: called.append(1) or kernel(*inputs))
    monkeypatch.setattr(double_backward_attention, "MIN_FLOPS", 0)
    torch.testing.assert_close(run(), small)
    assert len(called) == calls
