"""What the roofline counts of operators whose bytes and FLOPs are known."""

import pytest
import torch
from roofline import BANDWIDTH, FUSED_ATTENTION_SHARE, LAUNCH, RATES, Roofline, fused_attention
from torch._subclasses.fake_tensor import FakeTensorMode

SIDE = 4096


@pytest.mark.parametrize(("dtype", "rate"), [(torch.float32, RATES["tf32"]), (torch.bfloat16, RATES["bfloat16"])])
def test_a_product_takes_its_flops_at_the_rate_of_its_type(dtype, rate) -> None:
    with FakeTensorMode(), Roofline() as counter:
        left, right = (torch.empty(SIDE, SIDE, dtype=dtype) for _ in range(2))
        cost = counter.price(lambda: left @ right)
    size = SIDE**2 * dtype.itemsize
    assert cost["ms"] == pytest.approx(2 * SIDE**3 / rate * 1e3)
    assert (cost["gb"], cost["kernels"], cost["peak_gib"]) == (3 * size / 1e9, 1, 3 * size / 2**30)


def test_other_operators_take_their_bytes_views_nothing_and_small_ones_a_launch() -> None:
    with FakeTensorMode(), Roofline() as counter:
        x, small = torch.empty(SIDE, SIDE), torch.empty(4)
        size = SIDE**2 * 4
        for work, kernels, moved in (
            (lambda: x + x.mT[:1], 1, 2 * size + 4 * SIDE),
            (lambda: x.add_(1), 1, 2 * size),
            (lambda: x.zero_(), 1, size),
            (lambda: torch._foreach_lerp_([x], [x.mT], 0.5), 1, 3 * size),
            (lambda: x.mT.unflatten(0, (2, -1)).expand(2, -1, -1), 0, 0),
            (lambda: small + small, 1, 32),
        ):
            cost = counter.price(work)
            assert (cost["kernels"], cost["gb"]) == (kernels, moved / 1e9)
            assert cost["ms"] == pytest.approx(max(moved / BANDWIDTH, kernels * LAUNCH) * 1e3)


def test_fused_attention_is_one_kernel_forward_and_gives_every_gradient() -> None:
    with FakeTensorMode(), Roofline() as counter:
        inputs = [torch.empty(8, 4, 1024, 24, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)]
        bias = torch.empty(4, 1024, 1024, requires_grad=True)
        forward = counter.price(lambda: fused_attention(*inputs, None))
        flop = 4 * 8 * 4 * 1024**2 * 24
        assert forward["kernels"] == 1
        assert forward["ms"] == pytest.approx(flop / (FUSED_ATTENTION_SHARE * RATES["bfloat16"]) * 1e3)
        fused_attention(*inputs, bias).sum().backward()
    assert [x.grad.shape for x in (*inputs, bias)] == [x.shape for x in (*inputs, bias)]
