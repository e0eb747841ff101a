"""The attention function softmax(q k^T / sqrt(d) + bias) v, and the choice of the kernel that computes it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch.nn.functional as F
from torch import Tensor

from transgan.models.kernels.double_backward import double_backward_enabled
from transgan.models.kernels.double_backward_attention import (
    double_backward_attention,
    suits_double_backward_attention,
)

_plain = False


@contextmanager
def plain_attention() -> Iterator[None]:
    """Inside, all attention is matrix products, as in the released code: to count what that would cost."""
    global _plain
    previous, _plain = _plain, True
    try:
        yield
    finally:
        _plain = previous


def attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v for queries, keys and values (B, heads, N, d); returns (B, heads, N, d).

    `bias` (heads, N, N) or (N, N) is shared by the batch. Torch's fused kernels compute attention where they can. They
    cannot inside `double_backward()`, because they have no second derivative, nor for a bias that is learnt on a CPU,
    because the CPU's kernel gives it no gradient.
    """
    if _plain:
        return math_attention(query, key, value, bias)
    if double_backward_enabled():
        if suits_double_backward_attention(query, key):
            return double_backward_attention(query, key, value, bias)
        return math_attention(query, key, value, bias)
    if bias is not None and bias.requires_grad and bias.device.type == "cpu":
        return math_attention(query, key, value, bias)
    return fused_attention(query, key, value, bias)


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None, multiple: int | None = None
) -> Tensor:
    """Attention by `F.scaled_dot_product_attention`, shapes as in `attention`.

    On a GPU the kernels with a bias need heads of a multiple of 16 bytes, or torch silently falls back to matrix
    products. Narrower heads are therefore padded with zeros up to a multiple of `multiple` channels, which does not
    change the result. The default is those 16 bytes on a GPU and no padding on a CPU.
    """
    if bias is None:
        return F.scaled_dot_product_attention(query, key, value)
    width = query.shape[-1]
    multiple = multiple or (1 if query.device.type == "cpu" else 16 // query.element_size())
    padding = -width % multiple
    if padding:
        query, key, value = (F.pad(x, (0, padding)) for x in (query, key, value))
    scale = width**-0.5 if padding else None
    # The kernels need consecutive keys (pytorch issue 139424). `relative_bias` has them already, and is not copied.
    mask = bias.to(query.dtype).contiguous()[None]
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
    return out[..., :width] if padding else out


def math_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attention as two matrix products and a softmax, shapes as in `attention`; differentiable any number of times.

    Torch's own math backend scales queries and keys by d^-1/4 each, which rounds differently and keeps one more tensor.
    """
    logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)  # (B, heads, N, N)
    if bias is not None:
        logits += bias
    weights: Tensor = logits.softmax(-1).to(value.dtype)
    return weights @ value
