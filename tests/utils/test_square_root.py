"""The square root, against numpy's, which is exact."""

import numpy as np
import pytest
import torch

from transgan.utils.square_root import sqrt


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_exact_to_one_unit_of_the_last_place(dtype: torch.dtype) -> None:
    x = torch.logspace(-30, 30, 10_001, dtype=dtype)
    exact = np.sqrt(x.numpy())
    assert (np.abs(sqrt(x).numpy() - exact) <= np.spacing(exact)).all()
    assert sqrt(torch.zeros(3, dtype=dtype)).tolist() == [0.0, 0.0, 0.0]


def test_it_has_two_derivatives() -> None:
    x = torch.rand(5, dtype=torch.float64).add(0.1).requires_grad_()
    assert torch.autograd.gradcheck(sqrt, x)
    assert torch.autograd.gradgradcheck(sqrt, x)
