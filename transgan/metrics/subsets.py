"""Reproducible subsets of a set of images or features."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def evenly_spaced(total: int, count: int | None) -> NDArray[np.int64]:
    """`count` evenly spaced indices of `total` items, all if `count` is None or not smaller.

    A subset of a set that is sorted by class keeps its class frequencies.
    """
    if count is None or count >= total:
        return np.arange(total, dtype=np.int64)
    return (np.arange(count, dtype=np.int64) * total) // count


def random_halves(features: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two disjoint random halves of features (N, D) or indices (N,), the same ones in every call with one seed."""
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    middle = len(features) // 2
    return features[order[:middle]], features[order[middle : 2 * middle]]
