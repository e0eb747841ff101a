"""Large attention inside `double_backward()`: fewer passes over the weights than autograd needs, in bounded memory."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

# Least FLOPs of one of its matrix products for one head of one image: those of 64 tokens with 64 channels.
MIN_FLOPS = 2**19
# Most bytes of attention weights that are stored for the backward passes, and the most of a GPU's memory: five tensors
# of this size are alive at once. Larger ones are computed anew in every pass, which takes a third more FLOPs, in parts
# of at most PART_BYTES, or of one head of one image.
MAX_STORED_BYTES = 2**32
MAX_STORED_SHARE = 1 / 16  # 1.5 GiB of 24 GiB
PART_BYTES = 2**29

Part = tuple[slice, slice]  # images, heads


def suits_double_backward_attention(query: Tensor, key: Tensor) -> bool:
    """Whether `double_backward_attention` is the faster one for (B, heads, N, d): large ones in eager mode.

    torch.compile fuses passes over the weights itself.
    """
    return not torch.compiler.is_compiling() and 2 * query.shape[2] * key.shape[2] * query.shape[3] >= MIN_FLOPS


def double_backward_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v for (B, heads, N, d) and a bias (heads, N, N); twice differentiable.

    Keys and values may be of another number than queries, as in cross-attention.

    Gradients that are differentiated again (`create_graph=True`) leave the bias out: with respect to it they are None.
    Under autocast the weights have the type of the queries. Its gradients must be computed outside autocast.

    Autograd allocates a tensor of the weights' size for every product and sum in the second derivative of softmax, for
    the scale, and wherever gradients of the weights are added. Here the matrix products add up these gradients.
    """
    query, key, value = (x.contiguous() for x in (query, key, value))
    with torch.autocast(query.device.type, enabled=False):
        if query.shape[:3].numel() * key.shape[2] * query.element_size() > most_stored_bytes(query.device):
            bias = None if bias is None else bias.expand(query.shape[1], -1, -1)
            out: Tensor = _AttentionInParts.apply(query, key, value, bias)
        else:
            out = _Attention.apply(query, key, value, bias)[0]
    return out


def most_stored_bytes(device: torch.device) -> int:
    """Most bytes of attention weights that are stored on a device, whatever else is on it."""
    if device.type != "cuda":
        return MAX_STORED_BYTES
    return min(MAX_STORED_BYTES, int(MAX_STORED_SHARE * torch.cuda.get_device_properties(device).total_memory))


class _Attention(torch.autograd.Function):
    """Returns the output (B, heads, N, d) and the attention weights (B, heads, N, N).

    The weights are an output so that the double backward's gradient with respect to them is added before the backward
    pass of softmax.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        weights = _attention_weights(query, key, bias)
        out = _product(weights, value)
        ctx.save_for_backward(query, key, value, weights, out)
        ctx.set_materialize_grads(False)
        return out, weights

    @staticmethod
    def backward(ctx: Any, d_out: Tensor | None, d_weights: Tensor | None) -> tuple[Tensor | None, ...]:
        # Read once only: recomputed activations (checkpointing) are available a single time.
        query, key, value, weights, out = ctx.saved_tensors
        d_out = torch.zeros_like(out) if d_out is None else d_out.contiguous()
        with_bias = ctx.needs_input_grad[3] and not torch.is_grad_enabled()
        gradients: tuple[Tensor | None, ...] = _Backward.apply(
            d_out, d_weights, query, key, value, weights, out, with_bias
        )
        return gradients


class _Backward(torch.autograd.Function):
    """Gradients with respect to query, key, value and bias, from those of the output and of the attention weights.

    For attention weights P and logits S: d_S = P * (d_P - sum over keys of P * d_P), with d_P = d_out v^T + d_weights.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        d_out: Tensor,
        d_weights: Tensor | None,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        weights: Tensor,
        out: Tensor,
        with_bias: bool,
    ) -> tuple[Tensor | None, ...]:
        centred = _product(d_out, value.mT, onto=None if d_weights is None else d_weights.clone())
        # Without d_weights the sum over keys follows from the output.
        centred -= ((d_out * out) if d_weights is None else (weights * centred)).sum(-1, keepdim=True)
        d_logits = weights * centred
        ctx.save_for_backward(d_out, query, key, value, weights, centred)
        d_query, d_key = _operand_gradients(d_logits, query, key)
        return d_query, d_key, _product(d_out.mT, weights).mT, d_logits.sum(0) if with_bias else None

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, dd_query: Tensor, dd_key: Tensor, dd_value: Tensor, _: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        d_out, query, key, value, weights, centred = ctx.saved_tensors
        dd_query, dd_key, dd_value = (x.contiguous() for x in (dd_query, dd_key, dd_value))
        d_query, d_key = _operand_gradients(weights * centred, dd_query, dd_key)
        change, weights_change = _changes(query, key, weights, dd_query, dd_key)
        return (
            _product(weights, dd_value, onto=_product(weights_change, value)),
            weights_change if ctx.needs_input_grad[1] else None,
            d_query,
            d_key,
            _product(d_out.mT, weights_change).mT,
            # Up to a constant per row, which the backward pass of softmax removes.
            _product(d_out, dd_value.mT, onto=change.mul_(centred)),
            None,
            None,
        )


class _AttentionInParts(torch.autograd.Function):
    """The output (B, heads, N, d) for a bias (heads, N, N), part by part. No attention weights are stored."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        out = torch.empty_like(query)
        for part in _parts(query, key):
            out[part] = _product(_part_of_weights(part, query, key, bias), value[part])
        ctx.save_for_backward(query, key, value, bias, out)
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, bias, out = ctx.saved_tensors
        with_bias = ctx.needs_input_grad[3] and not torch.is_grad_enabled()
        gradients: tuple[Tensor | None, ...] = _BackwardInParts.apply(
            d_out.contiguous(), query, key, value, bias, out, with_bias
        )
        return gradients


class _BackwardInParts(torch.autograd.Function):
    """Gradients with respect to query, key, value and bias from that of the output, as `_Backward`, part by part.

    `out` is not differentiated: the backward pass includes its dependence on query, key, value and bias.
    """

    @staticmethod
    def forward(
        ctx: Any,
        d_out: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor | None,
        out: Tensor,
        with_bias: bool,
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(d_out, query, key, value, bias, out)
        d_query, d_key, d_value = (torch.empty_like(x) for x in (query, key, value))
        d_bias = torch.zeros_like(bias) if with_bias and bias is not None else None
        for part in _parts(query, key):
            weights = _part_of_weights(part, query, key, bias)
            d_value[part] = _product(d_out[part].mT, weights).mT
            d_logits = weights.mul_(_centred(d_out[part], value[part], out[part]))
            d_query[part], d_key[part] = _operand_gradients(d_logits, query[part], key[part])
            if d_bias is not None:
                d_bias[part[1]] += d_logits.sum(0)
        return d_query, d_key, d_value, d_bias

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, dd_query: Tensor, dd_key: Tensor, dd_value: Tensor, _: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        d_out, query, key, value, bias, out = ctx.saved_tensors
        dd_query, dd_key, dd_value = (x.contiguous() for x in (dd_query, dd_key, dd_value))
        through_out, d_query, d_key, d_value = (torch.empty_like(x) for x in (d_out, query, key, value))
        d_bias = torch.zeros_like(bias) if bias is not None and ctx.needs_input_grad[4] else None
        for part in _parts(query, key):
            weights = _part_of_weights(part, query, key, bias)
            change, weights_change = _changes(query[part], key[part], weights, dd_query[part], dd_key[part])
            through_out[part] = _product(weights, dd_value[part], onto=_product(weights_change, value[part]))
            d_value[part] = _product(d_out[part].mT, weights_change).mT
            del weights_change
            # Through the logits: their gradient in the first backward pass, and that of the attention weights.
            centred = _centred(d_out[part], value[part], out[part])
            d_weights = _product(d_out[part], dd_value[part].mT, onto=change.mul_(centred))
            d_weights -= (weights * d_weights).sum(-1, keepdim=True)
            first, second = centred.mul_(weights), d_weights.mul_(weights)
            pairs = zip(
                _operand_gradients(first, dd_query[part], dd_key[part]),
                _operand_gradients(second, query[part], key[part]),
                strict=True,
            )
            d_query[part], d_key[part] = (a + b for a, b in pairs)
            if d_bias is not None:
                d_bias[part[1]] += second.sum(0)
        return through_out, d_query, d_key, d_value, d_bias, None, None


def _attention_weights(query: Tensor, key: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias)."""
    weights = _product(query, key.mT, query.shape[-1] ** -0.5)
    if bias is not None:
        weights.add_(bias)
    return torch.softmax(weights, -1, out=weights)


def _centred(d_out: Tensor, value: Tensor, out: Tensor) -> Tensor:
    """d_P - sum over keys of P * d_P, for d_P = d_out v^T: the sum follows from the output."""
    centred = _product(d_out, value.mT)
    centred -= (d_out * out).sum(-1, keepdim=True)
    return centred


def _operand_gradients(d_logits: Tensor, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients with respect to queries and keys from that of the logits q k^T / sqrt(d)."""
    scale = query.shape[-1] ** -0.5
    # The second product is written so because d_logits.mT @ query takes a quarter longer.
    return _product(d_logits, key, scale), _product(query.mT, d_logits, scale).mT


def _changes(query: Tensor, key: Tensor, weights: Tensor, dd_query: Tensor, dd_key: Tensor) -> tuple[Tensor, Tensor]:
    """The directional derivatives along changes of queries and keys: of the logits, centred, and of the weights."""
    scale = query.shape[-1] ** -0.5
    change = _product(query, dd_key.mT, scale, onto=_product(dd_query, key.mT, scale))
    change -= (weights * change).sum(-1, keepdim=True)
    return change, weights * change


def _parts(query: Tensor, key: Tensor) -> Iterator[Part]:
    """The images and heads of every part: as many images of one head as PART_BYTES of attention weights allow."""
    batch, heads, tokens, _ = query.shape
    size = max(1, PART_BYTES // (tokens * key.shape[2] * query.element_size()))
    for head in range(heads):
        for start in range(0, batch, size):
            yield slice(start, start + size), slice(head, head + 1)


def _part_of_weights(part: Part, query: Tensor, key: Tensor, bias: Tensor | None) -> Tensor:
    return _attention_weights(query[part], key[part], None if bias is None else bias[part[1]])


def _product(left: Tensor, right: Tensor, scale: float = 1.0, onto: Tensor | None = None) -> Tensor:
    """scale * left @ right for (B, heads, N, M) and (B, heads, M, K), in one operator; added to `onto` if given."""
    first, second = left.flatten(0, 1), right.flatten(0, 1)
    if onto is None:
        out = torch.baddbmm(left.new_empty(1, 1, 1), first, second, beta=0, alpha=scale)
        return out.view(*left.shape[:-1], right.shape[-1])
    flat = onto.flatten(0, 1)
    torch.baddbmm(flat, first, second, alpha=scale, out=flat)
    return onto
