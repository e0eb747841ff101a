"""Attention that no fused kernel serves, on a CPU: in fewer passes over its weights than torch's operators make of it."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from transgan.models.kernels.eligibility import in_eager_float32_on_cpu
from transgan.models.kernels.onednn import products_in_onednn

PLAIN_FROM = 2**19  # multiplications and additions of each of its products for an image's head, 64 tokens of 64 columns


def suits_plain(query: Tensor, bias: Tensor | None) -> bool:
    """Whether attention among the tokens of (B, heads, N, d) queries is so large that `plain_attention` is the faster."""
    operands = (query,) if bias is None else (query, bias)
    return in_eager_float32_on_cpu(*operands) and 2 * query.shape[2] ** 2 * query.shape[3] >= PLAIN_FROM


def plain_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, twice: bool) -> Tensor:
    """softmax(q k^T / sqrt(d) + bias) v for (B, heads, N, d) and a (heads, N, N) bias, differentiable twice.

    With `twice`, a gradient that is to be differentiated again (create_graph) leaves the bias out, as large linear layers leave out their
    weights then.

    Autograd's way makes a tensor the size of the weights for every sum and product in the second derivative of softmax, for the scale, and
    wherever gradients of the weights meet. Here they meet in the products themselves.
    """
    mixed: Tensor = _Attention.apply(query.contiguous(), key.contiguous(), value.contiguous(), bias, twice)[0]
    return mixed


class _Attention(torch.autograd.Function):
    """Gives its weights away, too: what the second derivative has to say about them then joins their gradient before softmax is passed."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, twice: bool
    ) -> tuple[Tensor, Tensor]:
        weights = _product(query, key.mT, query.shape[-1] ** -0.5)
        if bias is not None:
            weights.add_(bias)
        torch.softmax(weights, -1, out=weights)
        mixed = _product(weights, value)
        ctx.save_for_backward(query, key, value, weights, mixed)
        ctx.set_materialize_grads(False)
        ctx.twice = twice  # type: ignore[attr-defined]
        return mixed, weights

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, for_weights: Tensor | None) -> tuple[Tensor | None, ...]:
        query, key, value, weights, mixed = (
            ctx.saved_tensors
        )  # asked for once: activations that are recomputed are to be had only so
        gradient = torch.zeros_like(mixed) if gradient is None else gradient.contiguous()
        with_bias = ctx.needs_input_grad[3] and not (ctx.twice and torch.is_grad_enabled())
        derivatives: tuple[Tensor | None, ...] = _Derivative.apply(
            gradient, for_weights, query, key, value, weights, mixed, with_bias
        )
        return *derivatives, None


class _Derivative(torch.autograd.Function):
    """Attention's gradient with respect to query, key, value and bias, given that of its output and, from a second derivative, of its weights.

    With G the output's gradient and S the logits: dS = P * (G v^T - rows' means of it, weighted by P).
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        gradient: Tensor,
        for_weights: Tensor | None,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        weights: Tensor,
        mixed: Tensor,
        with_bias: bool,
    ) -> tuple[Tensor | None, ...]:
        scale = query.shape[-1] ** -0.5
        centred = _product(gradient, value.mT, onto=None if for_weights is None else for_weights.clone())
        # The means: for G v^T alone they are known from the output.
        centred -= ((gradient * mixed) if for_weights is None else (weights * centred)).sum(-1, keepdim=True)
        for_logits = weights * centred
        ctx.save_for_backward(gradient, query, key, value, weights, centred, for_logits)
        return (
            _product(for_logits, key, scale),
            _product(query.mT, for_logits, scale).mT,  # for_logits.mT @ query takes a quarter longer
            _product(gradient.mT, weights).mT,
            for_logits.sum(0) if with_bias else None,
        )

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, along_query: Tensor, along_key: Tensor, along_value: Tensor, along_bias: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        gradient, query, key, value, weights, centred, for_logits = ctx.saved_tensors
        along_query, along_key, along_value = (x.contiguous() for x in (along_query, along_key, along_value))
        scale = query.shape[-1] ** -0.5
        # How logits, then weights, change along the given directions.
        change = _product(query, along_key.mT, scale, onto=_product(along_query, key.mT, scale))
        if along_bias is not None:
            change += along_bias
        change -= (weights * change).sum(-1, keepdim=True)
        of_weights = weights * change
        return (
            _product(weights, along_value, onto=_product(of_weights, value)),
            of_weights if ctx.needs_input_grad[1] else None,
            _product(for_logits, along_key, scale),
            _product(along_query.mT, for_logits, scale).mT,
            _product(gradient.mT, of_weights).mT,
            # But for a constant in each row, which a gradient of weights loses in softmax.
            _product(gradient, along_value.mT, onto=change.mul_(centred)),
            None,
            None,
        )


def _product(left: Tensor, right: Tensor, scale: float = 1.0, onto: Tensor | None = None) -> Tensor:
    """scale * left @ right for (B, heads, N, M) and (B, heads, M, K), in one operator; added to `onto` in place, if given."""
    first, second = left.flatten(0, 1), right.flatten(0, 1)
    with products_in_onednn():
        if onto is None:
            return torch.baddbmm(left.new_empty(1, 1, 1), first, second, beta=0, alpha=scale).view(
                *left.shape[:-1], right.shape[-1]
            )
        torch.baddbmm(onto.flatten(0, 1), first, second, alpha=scale, out=onto.flatten(0, 1))
        return onto
