import pytest
import torch
import torch.nn.functional as F

from transgan.models import attention
from transgan.models.attention import (
    Form,
    Layout,
    SelfAttention,
    biased_attention,
    dense_attention,
    forms,
    nystrom_attention,
    pseudo_inverse,
    relative_bias,
)
from transgan.models.kernels import blockwise_attention, double_backward_attention
from transgan.schema.model import GRID, Attention, Blocks

SIDE, WIDTH, HEADS = 8, 12, 3
GPU = "cuda"


def blocks(attention: str, depth: int = 2, **more: int) -> Blocks:
    return Blocks.model_validate({"attention": attention, "depth": depth, **more})


def seen(form: Form) -> torch.Tensor:
    """Which tokens see each other, told from coordinates: (tokens, tokens), True where they do."""
    row, column = torch.arange(SIDE * SIDE) // SIDE, torch.arange(SIDE * SIDE) % SIDE
    tile = (row // form.layout.height) * SIDE + column // form.layout.width
    return tile[:, None] == tile[None, :]


def reference(module: SelfAttention, x: torch.Tensor, form: Form) -> torch.Tensor:
    """Dense attention over all tokens in raster order, with a mask and a bias gathered offset by offset."""
    query, key, value = module.qkv(x).view(len(x), SIDE * SIDE, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
    logits = query @ key.transpose(-2, -1) / (WIDTH // HEADS) ** 0.5
    if module.relative_table is not None:
        row, column = torch.arange(SIDE * SIDE) // SIDE, torch.arange(SIDE * SIDE) % SIDE
        height, width = form.layout.height, form.layout.width
        down = (row[:, None] - row[None, :]).clamp(1 - height, height - 1) + height - 1
        right = (column[:, None] - column[None, :]).clamp(1 - width, width - 1) + width - 1
        logits = logits + module.relative_table[down * (2 * width - 1) + right].permute(2, 0, 1)
    logits = logits.masked_fill(~seen(form), float("-inf"))
    return module.proj((logits.softmax(-1) @ value).transpose(1, 2).reshape(x.shape))


def form_ids(form: Form) -> str:
    return f"{form.layout.height}x{form.layout.width}"


DENSE_FORMS = [Form(Layout(SIDE, height, width)) for height, width in ((8, 8), (4, 4), (2, 2), (1, 8), (8, 1))]


@pytest.mark.parametrize("form", DENSE_FORMS, ids=form_ids)
@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("twice", [True, False])
def test_every_dense_form_is_masked_dense_attention(form, relative, twice):
    module = SelfAttention(WIDTH, HEADS, form, relative, noise=False)
    if relative:
        torch.nn.init.normal_(module.relative_table)
    x = torch.randn(3, SIDE * SIDE, WIDTH)
    output = form.layout.restore(module(form.layout.arrange(x), None, twice))
    torch.testing.assert_close(output, reference(module, x, form), atol=1e-5, rtol=1e-5)


def test_configurations_name_the_forms():
    assert forms((blocks("standard", 1),), GRID, SIDE) == [Form(Layout(SIDE, 8, 8))]
    assert forms((blocks("grid", 1, window=4), blocks("wide", 1)), Attention(), SIDE) == [
        Form(Layout(SIDE, 4, 4)),
        Form(Layout(SIDE, 8, 8)),
    ]
    assert forms((blocks("axis", 3),), GRID, SIDE) == [
        Form(Layout(SIDE, 1, 8)),
        Form(Layout(SIDE, 8, 1)),
        Form(Layout(SIDE, 1, 8)),
    ]
    assert forms((blocks("nystrom", 1, landmarks=16),), GRID, SIDE) == [Form(Layout(SIDE, 8, 8), 16)]
    assert forms((blocks("grid", 1, window=16),), GRID, SIDE) == [
        Form(Layout(SIDE, 8, 8))
    ]  # a map no larger is one tile


def test_layouts_gather_tiles_and_come_back():
    layout = Layout(4, 2, 2)
    x = torch.arange(16.0).view(1, 16, 1)
    assert layout.arrange(x).flatten().tolist()[:8] == [0, 1, 4, 5, 2, 3, 6, 7]
    assert torch.equal(layout.restore(layout.arrange(x)), x)


@pytest.mark.parametrize(("height", "width"), [(1, 5), (3, 3), (4, 2)])
def test_the_relative_bias_is_the_table_gathered_at_offsets(height, width):
    table = torch.randn((2 * height - 1) * (2 * width - 1), 2, requires_grad=True)
    bias = relative_bias(table, height, width)
    for query in range(height * width):
        for key in range(height * width):
            down, right = query // width - key // width + height - 1, query % width - key % width + width - 1
            assert torch.equal(bias[:, query, key], table[down * (2 * width - 1) + right])
    bias.sum().backward()
    assert table.grad is not None
    assert table.grad[:, 0].view(2 * height - 1, 2 * width - 1)[height - 1, width - 1] == height * width  # the diagonal


ALL_FORMS = [*DENSE_FORMS, Form(Layout(SIDE, 8, 8), 16), None]


@pytest.mark.parametrize("form", ALL_FORMS, ids=["full", "tiles4", "tiles2", "rows", "columns", "nystrom", "sequence"])
def test_every_form_differentiates_twice(form):
    module = SelfAttention(WIDTH, HEADS, form, True, noise=True).double()
    x = torch.randn(1, SIDE * SIDE, WIDTH, dtype=torch.double, requires_grad=True)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return module(x, torch.ones(1, SIDE * SIDE, 1), True).square().sum()

    first, second = torch.randn_like(x), torch.randn_like(x)
    (slope,) = torch.autograd.grad(loss(x), x, create_graph=True)
    (curvature,) = torch.autograd.grad((slope * first).sum(), x)
    step = 1e-4
    ahead, behind = (torch.autograd.grad(loss(x + sign * step * second), x)[0] for sign in (1, -1))
    torch.testing.assert_close(
        (curvature * second).sum(), ((ahead - behind) / (2 * step) * first).sum(), atol=1e-4, rtol=1e-4
    )


def test_a_fused_kernel_serves_where_it_can_and_only_there(monkeypatch):
    calls = []
    fused = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda *args, **kwargs: calls.append(1) or fused(*args, **kwargs)
    )
    query, key, value = (torch.randn(2, HEADS, 16, 4, requires_grad=True) for _ in range(3))
    bias = torch.randn(HEADS, 16, 16)
    outputs = [dense_attention(query, key, value, bias, twice) for twice in (False, True)]
    assert len(calls) == 1
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    dense_attention(query, key, value, bias.requires_grad_(), False)
    assert len(calls) == 1  # a bias that is learnt, on a CPU: plain products are faster than the library's fallback


@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("tokens", [64, 144, 256, 1024])
def test_fused_kernels_of_a_gpu_give_every_gradient(tokens, dtype, tolerance):
    torch.manual_seed(0)
    inputs = [torch.randn(2, 4, tokens, 24) for _ in range(3)] + [torch.randn(4, tokens, tokens)]
    exact = [x.to(dtype).double().requires_grad_() for x in inputs]
    fused = [x.to(GPU, dtype).requires_grad_() for x in inputs]
    outputs = [dense_attention(*exact, twice=True), dense_attention(*fused, twice=False)]
    direction = torch.randn(outputs[0].shape)
    for output in outputs:
        output.backward(direction.to(output))
    for ours, theirs in zip(
        [outputs[1], *(x.grad for x in fused)], [outputs[0], *(x.grad for x in exact)], strict=True
    ):
        assert (ours.cpu().double() - theirs).norm() < tolerance * theirs.norm()


def test_nystrom_error_falls_as_landmarks_grow():
    smooth = torch.randn(2, 2, 8, 16).repeat_interleave(32, 2) + 0.3 * torch.randn(2, 2, 256, 16)
    query, key, value = smooth, smooth.roll(5, 2), torch.randn(2, 2, 256, 16)
    exact = dense_attention(query, key, value, None, True)
    errors = [
        (nystrom_attention(query, key, value, landmarks) - exact).norm() / exact.norm()
        for landmarks in (4, 16, 64, 256)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1  # as many landmarks as tokens: what is left is the pseudo-inverse's own error


def test_the_pseudo_inverse_inverts():
    matrix = (3 * torch.randn(5, 12, 12)).softmax(-1) * 0.3 + 0.7 * torch.eye(12)
    torch.testing.assert_close(pseudo_inverse(matrix) @ matrix, torch.eye(12).expand(5, 12, 12), atol=1e-3, rtol=1e-3)


def test_a_band_limits_who_sees_whom():
    module = SelfAttention(WIDTH, HEADS, Form(Layout(4, 4, 4)), False, noise=False)
    x = torch.randn(1, 16, WIDTH, requires_grad=True)
    module(x, None, False, band=2)[0, 7].sum().backward()
    reached = x.grad[0].abs().sum(-1).nonzero().flatten().tolist()
    assert reached == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("form", ALL_FORMS, ids=str)
def test_under_bfloat16_autocast_outputs_stay_near_float32(form):
    module = SelfAttention(WIDTH, HEADS, form, True, noise=False)
    x = torch.randn(2, SIDE * SIDE, WIDTH)
    with torch.no_grad():
        exact = module(x, None, False)
        for twice in (False, True):
            with torch.autocast("cpu", torch.bfloat16):
                rough = module(x, None, twice)
            assert rough.dtype == torch.bfloat16
            assert (rough - exact).abs().max() < 0.05 * exact.abs().max().clamp(min=1)


@pytest.mark.parametrize(
    ("twice", "tokens", "way"),
    [(True, 16, "plain_attention"), (False, 16, "attention_in_parts"), (False, 17, "plain_attention")],
)
def test_large_attention_on_a_cpu_goes_the_way_that_its_size_and_derivatives_want(twice, tokens, way, monkeypatch):
    """`tokens`: from how many on an image's weights are so many that they are had in parts."""
    module, x = SelfAttention(WIDTH, HEADS, Form(Layout(4, 4, 4)), True, noise=False), torch.randn(2, 16, WIDTH)
    served: list[str] = []
    for name in ("attention_in_parts", "plain_attention"):
        original = getattr(attention, name)
        monkeypatch.setattr(
            attention, name, lambda *inputs, name=name, original=original: served.append(name) or original(*inputs)
        )

    def run() -> tuple[torch.Tensor, ...]:
        output = module(x, None, twice)
        return output, *torch.autograd.grad(output.square().sum(), list(module.parameters()))

    usual = run()
    assert served == []
    monkeypatch.setattr(blockwise_attention, "PARTS_FROM", tokens**2)
    monkeypatch.setattr(double_backward_attention, "PLAIN_FROM", 2 * 16**2 * WIDTH // HEADS)
    for mine, theirs in zip(run(), usual, strict=True):
        torch.testing.assert_close(mine, theirs)
    assert served == [way]


@pytest.mark.parametrize(("width", "unit"), [(4, 8), (21, 8), (8, 8)])
def test_heads_filled_up_for_a_fused_kernel_attend_the_same(width, unit):
    query, key, value = (torch.randn(2, 3, 10, width, dtype=torch.float64, requires_grad=True) for _ in range(3))
    bias = torch.randn(3, 10, 10, dtype=torch.float64)
    filled, plain = biased_attention(query, key, value, bias, unit), biased_attention(query, key, value, bias)
    assert filled.shape == plain.shape
    torch.testing.assert_close(filled, plain)
    direction = torch.randn_like(plain)
    for one, other in zip(
        *(torch.autograd.grad(mixed, (query, key, value), direction) for mixed in (filled, plain)), strict=True
    ):
        torch.testing.assert_close(one, other)
