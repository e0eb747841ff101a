"""Products in oneDNN: where they run, and that nothing of float32 is lost."""

from collections.abc import Iterator

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from transgan.models.kernels import onednn
from transgan.models.kernels.onednn import products_in_onednn


@pytest.fixture
def never_asked() -> Iterator[None]:
    onednn._keeps_float32.cache_clear()
    yield
    onednn._keeps_float32.cache_clear()


def precision() -> str:
    return torch.backends.mkldnn.matmul.fp32_precision


@pytest.mark.parametrize("images", [1, 3])
def test_products_are_those_of_float32(images):
    torch.manual_seed(0)
    left, right = torch.randn(images, 64, 512), torch.randn(images, 512, 96)
    with products_in_onednn():
        ours = left @ right if images > 1 else (left[0] @ right[0])[None]
    exact = left.double() @ right.double()
    assert (
        ours - exact
    ).abs().max() < 1e-4  # of numbers about 20; with eight bits of each factor they would be off by 0.1


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512", reason="torch has its products in oneDNN with AVX-512 only"
)
def test_they_run_there_inside_and_elsewhere_outside(capfd):
    if not onednn._keeps_float32():
        pytest.skip("oneDNN has bfloat16 units here")
    x = torch.randn(2, 64, 64)
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        x @ x
        assert "matmul" not in capfd.readouterr().out
        with products_in_onednn():
            x @ x
        assert "matmul" in capfd.readouterr().out


def test_the_setting_is_as_before_afterwards():
    before = precision()
    with products_in_onednn(), products_in_onednn():
        pass
    assert precision() == before
    with pytest.raises(ArithmeticError), products_in_onednn():
        raise ArithmeticError
    assert precision() == before


def test_a_processor_that_rounds_to_bfloat16_is_not_told_that_it_may(monkeypatch, never_asked):
    monkeypatch.setattr(torch, "equal", lambda *_: False)
    with products_in_onednn():
        assert precision() != "bf16"


def test_the_answer_depends_on_no_mode_of_the_asker(never_asked):
    with (
        torch.autocast("cpu", torch.bfloat16),
        torch.device("meta"),
        FlopCounterMode(display=False) as counter,
        products_in_onednn(),
    ):
        inside = precision()
    assert counter.get_total_flops() == 0
    onednn._keeps_float32.cache_clear()
    with products_in_onednn():
        assert precision() == inside
