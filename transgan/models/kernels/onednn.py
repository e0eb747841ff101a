"""Products of float32 matrices in oneDNN on a CPU, where torch would give them to MKL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import torch

LOST_IN_BFLOAT16 = 1 + 2**-12  # and in TF32


@contextmanager
def products_in_onednn() -> Iterator[None]:
    """Products inside (`mm`, `bmm`, `baddbmm`) run in oneDNN if that is a matter of speed alone: in float32 they are, to rounding, the same.

    torch takes them there only when told that bfloat16's precision is enough. oneDNN makes use of that on processors with matrix units for
    bfloat16 (AMX) and computes in float32 on others; which one this is, a product says, once in a process. The setting is the process's:
    not for products in several threads of Python.
    """
    if not _keeps_float32():
        yield
        return
    with _bfloat16_allowed():
        yield


@contextmanager
def _bfloat16_allowed() -> Iterator[None]:
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


@cache
def _keeps_float32() -> bool:
    with ThreadPoolExecutor(1) as elsewhere:  # where modes of whoever asks first (autocast, FLOP counters) do not reach
        return elsewhere.submit(_products_keep_float32).result()


def _products_keep_float32() -> bool:
    numbers, one = torch.full((2, 256, 256), LOST_IN_BFLOAT16), torch.eye(256).expand(2, -1, -1)
    with _bfloat16_allowed():
        return torch.equal(numbers @ one, numbers) and torch.equal(numbers[0] @ one[0], numbers[0])
