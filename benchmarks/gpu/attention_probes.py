"""Probes of attention at the shapes of two pairs of networks, called by the step `probes`."""

from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from gpu.comparison import compare, growing
from gpu.runs import named_run
from gpu.step import Results
from gpu.timing import device_of
from transgan.config.plan import Run
from transgan.hardware.device import set_precision
from transgan.models import attention, build_discriminator, build_generator
from transgan.models.kernels.attention import fused_attention, math_attention
from transgan.models.kernels.double_backward_attention import double_backward_attention

Shape = tuple[int, int, int, int, bool]  # images times tiles, heads, tokens, channels of a head; whether with a bias
PRECISIONS = ("bfloat16", "tf32")
RUNS = ("transgan-cifar10", "transgan-church256")
COMPARED_ROWS = 2
FLEX_SHAPES, FLEX_LEAST_WIDTH = 3, 16  # its kernels need heads of 16 channels or more


def attention_probe(kind: str, dry_run: bool) -> Results:
    """Forward and backward: torch's fused kernel, matrix products, and the function with derivatives written out."""
    device = device_of(kind)
    variants = {"fused": fused_attention, "math": math_attention, "double_backward": double_backward_attention}
    for shape in shapes(dry_run):
        for precision in PRECISIONS:
            set_precision(precision)
            inputs, names = _inputs(shape, precision, device)
            chosen = {name: _in_precision(function, precision, kind) for name, function in variants.items()}
            results = compare(chosen, math_attention, inputs, ("values", *names), 1, COMPARED_ROWS)
            yield from growing(_title(shape, precision), results)


def penalty_probe(kind: str, dry_run: bool) -> Results:
    """The same under a gradient penalty, which fused kernels do not support."""
    device = device_of(kind)
    variants = {"math": math_attention, "double_backward": double_backward_attention}
    for shape in shapes(dry_run):
        for precision in PRECISIONS:
            set_precision(precision)
            inputs, names = _inputs(shape, precision, device)
            chosen = {name: _in_precision(function, precision, kind) for name, function in variants.items()}
            names = ("values", "gradient", "d_cotangent", *names[1:])
            yield from growing(
                _title(shape, precision), compare(chosen, math_attention, inputs, names, 2, COMPARED_ROWS)
            )


def flex_probe(kind: str, dry_run: bool) -> Results:
    """Forward and backward of FlexAttention at the largest shapes with a bias. It is compiled, but not in a dry run."""
    device = device_of(kind)
    function = flex if dry_run else torch.compile(flex, dynamic=False, fullgraph=True)
    possible = [shape for shape in shapes(dry_run) if shape[4] and shape[3] >= FLEX_LEAST_WIDTH]
    largest = sorted(possible, key=lambda shape: -shape[0] * shape[2] ** 2)
    set_precision("bfloat16")
    for shape in largest[: 1 if dry_run else FLEX_SHAPES]:
        inputs, names = _inputs(shape, "bfloat16", device)
        # Errors on all rows: another number of rows would be compiled again.
        yield from growing(
            _title(shape, "bfloat16"), compare({"flex": function}, math_attention, inputs, ("values", *names), 1)
        )


def flex(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """FlexAttention with a bias (heads, N, N) of its logits, shapes as in `transgan.models.kernels.attention`."""

    def with_bias(score: Tensor, _: Tensor, head: Tensor, row: Tensor, column: Tensor) -> Tensor:
        return score + bias[head, row, column]

    out: Tensor = flex_attention(query, key, value, score_mod=with_bias)
    return out


def shapes(dry_run: bool) -> list[Shape]:
    """Every different shape of attention in the networks, for the images of one pass."""
    return list(dict.fromkeys(shape for name in RUNS for shape in shapes_of(named_run(name, dry_run))))


def shapes_of(run: Run) -> list[Shape]:
    """The shapes in a run's networks, recorded in forward passes without content."""
    found: dict[Shape, None] = {}

    def record(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        batch, heads, tokens, width = query.shape
        found[(batch, heads, tokens, width, bias is not None)] = None
        return query

    batch, side = run.recipe.micro_batch or run.recipe.batch, run.dataset.resolution
    with torch.device("meta"), torch.no_grad(), mock.patch.object(attention, "attention", record):
        generator = build_generator(run.model.generator)
        generator(torch.empty(batch, generator.latent))
        build_discriminator(run.model.discriminator, side)(torch.empty(batch, 3, side, side))
    return list(found)


def _inputs(shape: Shape, precision: str, device: torch.device) -> tuple[tuple[Tensor, ...], tuple[str, ...]]:
    """Query, key, value and, if there is one, the learnt bias in float32; and the names of their gradients."""
    batch, heads, tokens, width, has_bias = shape
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    parts = [torch.randn(batch, heads, tokens, width, device=device, dtype=dtype) for _ in range(3)]
    bias = [torch.randn(heads, tokens, tokens, device=device)] if has_bias else []
    names = ("d_query", "d_key", "d_value", "d_bias")[: 3 + has_bias]
    return tuple(tensor.requires_grad_() for tensor in (*parts, *bias)), names


def _in_precision(function: Callable[..., Tensor], precision: str, kind: str) -> Callable[..., Tensor]:
    """`function` under autocast, as in training, if the precision is bfloat16."""

    def computed(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        with torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16"):
            return function(query, key, value, bias)

    return computed


def _title(shape: Shape, precision: str) -> str:
    batch, heads, tokens, width, has_bias = shape
    return f"{batch} x {heads} x {tokens} x {width}{', bias' if has_bias else ''}, {precision}"
