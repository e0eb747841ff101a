"""Linear layers that compute their products where the machine does so fastest."""

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.utils.flop_counter import flop_registry, register_flop_formula

from transgan.models.kernels.double_backward import differentiated_twice
from transgan.models.kernels.eligibility import in_eager_float32_on_cpu
from transgan.models.kernels.onednn import products_in_onednn

ONEDNN_FROM = 2**28  # multiplications and additions of a product
TALL = (
    2**9
)  # outputs per row of the input from which the weight is convolved with the input: reading it is then most of what there is to do


class Linear(nn.Linear):
    """torch's, whose large float32 products on a CPU run through oneDNN.

    torch takes a product to MKL unless it was compiled: on an AMD EPYC (AVX-512) that takes a quarter longer (docs/performance.md). The results
    agree to rounding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        if not _suits_onednn(x, self.weight):
            return super().forward(x)
        rows = x.numel() // self.in_features
        if self.out_features >= TALL * rows:
            return self._tall(x.reshape(rows, self.in_features)).view(*x.shape[:-1], self.out_features)
        mixed = _Product.apply(
            x if x.ndim == 3 else x.reshape(1, -1, self.in_features), self.weight, self.bias, differentiated_twice()
        )
        return mixed.view(*x.shape[:-1], self.out_features)  # type: ignore[no-any-return]

    def _tall(self, x: Tensor) -> Tensor:
        """(B, in_features) -> (B, out_features) for few rows: the weight's are the pixels, and x's the channels that come out."""
        mixed = F.conv2d(self.weight.view(1, -1, 1, self.in_features).permute(0, 3, 1, 2), x[:, :, None, None]).view(
            len(x), self.out_features
        )
        return mixed if self.bias is None else mixed + self.bias


def _suits_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        in_eager_float32_on_cpu(x, weight)
        and 2 * x.numel() * len(weight) >= ONEDNN_FROM
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.linear in oneDNN, by the operator that compiled code has for it; the weight may be the transpose of one that lies in memory."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]


class _Product(torch.autograd.Function):
    """x weight^T + bias for (B, N, I) x and (O, I) weight.

    With `twice`, a gradient that is to be differentiated again leaves weight and bias out: autograd does not tell such a function that only the
    one with respect to x is asked for, and theirs would be a third of the work for nothing.

    The operators used have no derivatives, or slow ones of second order: the derivatives of these three functions are made of these three again.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None, twice: bool) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.twice = twice  # type: ignore[attr-defined]
        return _linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias, _ = ctx.needs_input_grad
        with_weights = not (ctx.twice and torch.is_grad_enabled())
        return (
            _Across.apply(gradient, weight) if for_x else None,
            _ForWeight.apply(gradient, x) if for_weight and with_weights else None,
            gradient.sum((0, 1)) if for_bias and with_weights else None,
            None,
        )


class _Across(torch.autograd.Function):
    """x weight for (B, N, O) x and (O, I) weight: the product's derivative with respect to its input."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _linear(x, weight.t())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight = ctx.needs_input_grad
        return (
            _Product.apply(gradient, weight, None, False) if for_x else None,
            _ForWeight.apply(x, gradient) if for_weight else None,
        )


class _ForWeight(torch.autograd.Function):
    """(O, I) sums of outer products of (B, N, O) gradients and (B, N, I) x: the product's derivative with respect to the weight."""

    @staticmethod
    def forward(ctx: FunctionCtx, gradient: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(gradient, x)
        with products_in_onednn():
            return gradient.flatten(0, 1).t() @ x.flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, direction: Tensor) -> tuple[Tensor | None, ...]:
        gradient, x = ctx.saved_tensors
        for_gradient, for_x = ctx.needs_input_grad
        return (
            _Product.apply(x, direction, None, False) if for_gradient else None,
            _Across.apply(gradient, direction) if for_x else None,
        )


def _flop(x: tuple[int, ...], weight: tuple[int, ...], *_: object, **__: object) -> int:
    """Floating-point operations of `_linear`, from shapes."""
    return 2 * prod(x) * weight[0]


if hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.ops.mkldnn._linear_pointwise not in flop_registry:
    register_flop_formula(torch.ops.mkldnn._linear_pointwise)(
        _flop
    )  # so that FlopCounterMode counts what runs here as it counts all products
