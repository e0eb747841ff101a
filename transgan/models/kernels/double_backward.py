"""How often a forward pass can be differentiated: told around it, asked inside the networks."""

from collections.abc import Iterator
from contextlib import contextmanager

_twice = False


@contextmanager
def double_backward() -> Iterator[None]:
    """Forward passes inside can be differentiated twice (gradient penalties).

    Attention then runs as plain matrix products: the fused kernels have no second derivative. Only the forward pass needs to be inside.
    Its gradients that are differentiated again (create_graph) are with respect to inputs, not weights: on a CPU large linear layers and large
    attention leave those out.
    """
    global _twice
    before, _twice = _twice, True
    try:
        yield
    finally:
        _twice = before


def differentiated_twice() -> bool:
    """Whether the forward pass going on must allow a second derivative."""
    return _twice
