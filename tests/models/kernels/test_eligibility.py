"""Where layers compute in ways of their own: only on what is there, a CPU's float32, operator by operator."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from transgan.models.kernels.eligibility import in_eager_float32_on_cpu


def test_tensors_and_parameters_in_float32_qualify():
    assert in_eager_float32_on_cpu(torch.ones(2), nn.Parameter(torch.ones(2)))


@pytest.mark.parametrize(
    "other", [torch.ones(2, dtype=torch.float64), torch.ones(2, dtype=torch.bfloat16), torch.ones(2, device="meta")]
)
def test_one_tensor_of_another_kind_is_enough_not_to(other):
    assert not in_eager_float32_on_cpu(torch.ones(2), other)


def test_where_only_a_cost_is_counted_nothing_qualifies():
    with FakeTensorMode():
        assert not in_eager_float32_on_cpu(torch.ones(2))


def test_autocast_and_compilation_have_their_own_ways():
    with torch.autocast("cpu", torch.bfloat16):
        assert not in_eager_float32_on_cpu(torch.ones(2))

    def chosen(x):
        return x + 1 if in_eager_float32_on_cpu(x) else x - 1

    assert torch.compile(chosen, backend="eager", fullgraph=True)(torch.ones(())) == 0
