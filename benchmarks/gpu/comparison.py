"""Compares variants of an operation: time, memory and error of its values and derivatives.

An error is the norm of the difference to the float64 reference, relative to the reference's norm.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from gpu.step import Results, attempt
from gpu.timing import timed

Function = Callable[..., Tensor]


def compare(
    variants: Mapping[str, Function],
    reference: Function,
    inputs: Sequence[Tensor],
    names: Sequence[str],
    order: int,
    error_rows: int | None = None,
) -> Results:
    """Time every variant and compare it with `reference` in float64; a variant that fails has an "error" instead.

    Derivatives are those of `derivatives` with respect to the inputs that need gradients; `names` are those of the
    tensors that it returns. The first `error_rows` of the batch are compared (None: all), because float64 needs much
    memory. Inputs and values with a batch have it first, and all inputs of four dimensions have one.
    """
    device, dtype = inputs[0].device, inputs[0].dtype
    few = [_leaf(tensor[:error_rows] if tensor.dim() == 4 else tensor, tensor.requires_grad) for tensor in inputs]
    exact_inputs = [_leaf(tensor.double(), tensor.requires_grad) for tensor in few]
    with torch.no_grad():
        shape = reference(*exact_inputs).shape
    cotangent = torch.randn(len(inputs[0]), *shape[1:], device=device, dtype=dtype)
    exact = derivatives(reference, exact_inputs, cotangent[:error_rows].double(), order)
    for name, function in variants.items():

        def measured(function: Function = function) -> dict[str, object]:
            times = timed(lambda: derivatives(function, inputs, cotangent, order), device)
            own = derivatives(function, few, cotangent[:error_rows], order)
            errors = [_relative_error(mine, theirs) for mine, theirs in zip(own, exact, strict=True)]
            return {**times, "relative_error": dict(zip(names, errors, strict=True))}

        yield name, attempt(measured)
        if device.type == "cuda":
            torch.cuda.empty_cache()


def derivatives(function: Function, inputs: Sequence[Tensor], cotangent: Tensor, order: int) -> list[Tensor]:
    """The values of function(*inputs) and derivatives of their product with the cotangent, detached.

    Order 1: the gradients of the inputs that need one. Order 2: as a gradient penalty needs them, the gradient g of the
    first of those, and the gradients of |g|^2 with respect to the cotangent and the others.
    """
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    cotangent = _leaf(cotangent, order == 2)
    values = function(*inputs)
    if order == 1:
        found = torch.autograd.grad(values, wanted, cotangent.to(values.dtype))
    else:
        (gradient,) = torch.autograd.grad(values, wanted[0], cotangent.to(values.dtype), create_graph=True)
        # In float32 at least, as the penalty is computed.
        norm = gradient.to(torch.promote_types(gradient.dtype, torch.float32)).square().sum()
        found = (gradient, *torch.autograd.grad(norm, [cotangent, *wanted[1:]]))
    return [tensor.detach() for tensor in (values, *found)]


def _leaf(tensor: Tensor, needs_gradient: bool) -> Tensor:
    return tensor.detach().requires_grad_(needs_gradient)


def _relative_error(mine: Tensor, theirs: Tensor) -> float:
    difference = torch.linalg.vector_norm(mine.double() - theirs)
    return float(difference / torch.linalg.vector_norm(theirs))


def growing(title: str, results: Results) -> Results:
    """One result under `title`, again after each of `results`, so that a part that is stopped keeps what it has."""
    found: dict[str, object] = {}
    for name, value in results:
        found[name] = value
        yield title, dict(found)
