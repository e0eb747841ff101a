"""The mode for forward passes that are differentiated twice, as gradient penalties do."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn.attention import SDPBackend, sdpa_kernel

_enabled = False


@contextmanager
def double_backward() -> Iterator[None]:
    """Inside, forward passes can be differentiated twice. Their backward passes may be outside.

    The networks then compute attention by matrix products, because torch's fused kernels have no second derivative.
    Other code that calls `F.scaled_dot_product_attention` gets torch's math backend, for the same reason.

    A gradient that is to be differentiated again (`create_graph=True`) must not be with respect to the relative
    position tables: large attention on a CPU then leaves them out.
    """
    global _enabled
    previous, _enabled = _enabled, True
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        _enabled = previous


def double_backward_enabled() -> bool:
    """Whether this code runs inside `double_backward()`. Torch's own flags cannot be queried under torch.compile."""
    return _enabled
