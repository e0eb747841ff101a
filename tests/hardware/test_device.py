"""Device, threads and precision of a process: stages compute in float32 unless a recipe asks for another precision."""

from collections.abc import Iterator

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from transgan.errors import UserError
from transgan.hardware.device import float32_precision, prepare_compute, set_precision
from transgan.schema.recipe import Precision


@pytest.fixture(autouse=True)
def same_settings_afterwards() -> Iterator[None]:
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    threads = torch.get_num_threads()
    with threadpool_limits(limits=1):
        yield
    torch.set_float32_matmul_precision(products)
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.set_num_threads(threads)


def tf32_allowed() -> tuple[bool, bool]:
    """Whether a GPU may use TF32 for matrix products, and for convolutions."""
    return torch.get_float32_matmul_precision() != "highest", torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("precision", "allowed"), [("float32", False), ("tf32", True), ("bfloat16", True)])
def test_products_and_convolutions_have_the_same_precision(precision: Precision, allowed: bool) -> None:
    set_precision(precision)
    assert tf32_allowed() == (allowed, allowed)


def test_stages_compute_in_float32() -> None:
    set_precision("tf32")
    prepare_compute(1, "cpu")
    assert tf32_allowed() == (False, False)


def test_prepare_compute_sets_the_threads_of_torch_and_of_every_blas() -> None:
    assert prepare_compute(1, "cpu") == torch.device("cpu")
    assert torch.get_num_threads() == 1
    assert {library["num_threads"] for library in threadpool_info()} == {1}


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(UserError, match=r"execution\.device is cuda, but torch sees no GPU"):
        prepare_compute(1, "cuda")


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_float32_precision_restores_the_previous_setting(precision: Precision) -> None:
    set_precision(precision)
    before = tf32_allowed()
    with float32_precision():
        assert tf32_allowed() == (False, False)
    assert tf32_allowed() == before
