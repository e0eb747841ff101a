"""Large attention on a CPU inside `double_backward()`, with fewer passes over the weights than autograd needs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

# Least FLOPs of one of its matrix products for one head of one image: those of 64 tokens with 64 channels.
MIN_FLOPS = 2**19


def suits_double_backward_attention(query: Tensor, bias: Tensor | None) -> bool:
    """Whether `double_backward_attention` is the faster one for queries (B, heads, N, d): in eager float32 on a CPU.

    False for tensors without content, such as FakeTensors: `transgan.cost.estimate` counts what all devices do.
    """
    operands = (query,) if bias is None else (query, bias)
    return (
        not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and all(
            type(tensor) in (Tensor, nn.Parameter) and tensor.device.type == "cpu" and tensor.dtype == torch.float32
            for tensor in operands
        )
        and 2 * query.shape[2] ** 2 * query.shape[3] >= MIN_FLOPS
    )


def double_backward_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v for (B, heads, N, d) and a bias (heads, N, N); twice differentiable.

    Gradients that are differentiated again (`create_graph=True`) leave the bias out: with respect to it they are None.

    Autograd allocates a tensor of the weights' size for every product and sum in the second derivative of softmax, for
    the scale, and wherever gradients of the weights are added. Here the matrix products add up these gradients.
    """
    out: Tensor = _Attention.apply(query.contiguous(), key.contiguous(), value.contiguous(), bias)[0]
    return out


class _Attention(torch.autograd.Function):
    """Returns the output (B, heads, N, d) and the attention weights (B, heads, N, N).

    The weights are an output so that the double backward's gradient with respect to them is added before the backward
    pass of softmax.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        weights = _product(query, key.mT, query.shape[-1] ** -0.5)
        if bias is not None:
            weights.add_(bias)
        torch.softmax(weights, -1, out=weights)
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
        scale = query.shape[-1] ** -0.5
        centred = _product(d_out, value.mT, onto=None if d_weights is None else d_weights.clone())
        # Without d_weights the sum over keys follows from the output.
        centred -= ((d_out * out) if d_weights is None else (weights * centred)).sum(-1, keepdim=True)
        d_logits = weights * centred
        ctx.save_for_backward(d_out, query, key, value, weights, centred, d_logits)
        return (
            _product(d_logits, key, scale),
            _product(query.mT, d_logits, scale).mT,  # d_logits.mT @ query takes a quarter longer
            _product(d_out.mT, weights).mT,
            d_logits.sum(0) if with_bias else None,
        )

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, dd_query: Tensor, dd_key: Tensor, dd_value: Tensor, _: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        d_out, query, key, value, weights, centred, d_logits = ctx.saved_tensors
        dd_query, dd_key, dd_value = (x.contiguous() for x in (dd_query, dd_key, dd_value))
        scale = query.shape[-1] ** -0.5
        # The directional derivative of the logits, then of the weights, along the incoming gradients.
        change = _product(query, dd_key.mT, scale, onto=_product(dd_query, key.mT, scale))
        change -= (weights * change).sum(-1, keepdim=True)
        weights_change = weights * change
        return (
            _product(weights, dd_value, onto=_product(weights_change, value)),
            weights_change if ctx.needs_input_grad[1] else None,
            _product(d_logits, dd_key, scale),
            _product(dd_query.mT, d_logits, scale).mT,
            _product(d_out.mT, weights_change).mT,
            # Up to a constant per row, which the backward pass of softmax removes.
            _product(d_out, dd_value.mT, onto=change.mul_(centred)),
            None,
            None,
        )


def _product(left: Tensor, right: Tensor, scale: float = 1.0, onto: Tensor | None = None) -> Tensor:
    """scale * left @ right for (B, heads, N, M) and (B, heads, M, K), in one operator; added to `onto` if given."""
    first, second = left.flatten(0, 1), right.flatten(0, 1)
    if onto is None:
        out = torch.baddbmm(left.new_empty(1, 1, 1), first, second, beta=0, alpha=scale)
        return out.view(*left.shape[:-1], right.shape[-1])
    torch.baddbmm(onto.flatten(0, 1), first, second, alpha=scale, out=onto.flatten(0, 1))
    return onto
