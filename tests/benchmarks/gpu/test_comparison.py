"""Errors, derivatives and failures of compared variants."""

import pytest
import torch
from gpu.comparison import compare, derivatives, growing
from torch import Tensor


def cube(x: Tensor, weight: Tensor) -> Tensor:
    return weight * x**3


def inputs() -> tuple[Tensor, Tensor]:
    return torch.tensor([1.0, 2.0, 3.0], requires_grad=True), torch.tensor(2.0, requires_grad=True)


def test_first_derivatives_are_those_of_the_product_with_the_cotangent() -> None:
    values, dx, dw = derivatives(cube, inputs(), torch.tensor([1.0, 0.0, 2.0]), order=1)
    assert values.tolist() == [2, 16, 54]
    assert dx.tolist() == [6, 0, 108]  # 3 w x^2 c
    assert dw.item() == 1 + 54  # sum of x^3 c


def test_second_derivatives_are_those_of_a_gradient_penalty() -> None:
    cotangent = torch.tensor([1.0, 0.0, 2.0])
    _, gradient, d_cotangent, dw = derivatives(cube, inputs(), cotangent, order=2)
    assert gradient.tolist() == [6, 0, 108]
    # g = 3 w x^2 c: d|g|^2/dc = 2 g (3 w x^2), d|g|^2/dw = sum of 2 g (3 x^2 c)
    assert d_cotangent.tolist() == [2 * 6 * 6, 0, 2 * 108 * 54]
    assert dw.item() == 2 * 6 * 3 + 2 * 108 * 54


def test_errors_are_relative_and_a_variant_that_fails_says_why() -> None:
    def unsupported(x: Tensor, weight: Tensor) -> Tensor:
        raise RuntimeError("no kernel")

    variants = {"wrong": lambda x, w: 1.01 * cube(x, w), "unsupported": unsupported, "right": cube}
    results = dict(compare(variants, cube, inputs(), ("values", "dx", "dw"), order=1))
    assert results["wrong"]["relative_error"] == pytest.approx({"values": 0.01, "dx": 0.01, "dw": 0.01}, rel=1e-3)
    assert results["unsupported"] == {"error": "RuntimeError: no kernel"}
    assert max(results["right"]["relative_error"].values()) < 1e-6
    assert results["right"]["ms"] > 0


def test_results_grow_under_one_title() -> None:
    assert list(growing("shape", iter([("a", 1), ("b", 2)]))) == [("shape", {"a": 1}), ("shape", {"a": 1, "b": 2})]
