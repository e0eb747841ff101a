"""The square root of a tensor, with the same bits on every processor."""

from torch import Tensor


def sqrt(x: Tensor) -> Tensor:
    """Square root of the positive numbers `x`, exact to within one unit of the last place.

    On a CPU, torch.sqrt calls MKL, whose result begins with the processor's own approximation, so that its last bit
    differs between Intel's and AMD's processors. torch.rsqrt does not.
    """
    return x.rsqrt().reciprocal()
