"""Features and statistics with known distributions, for the tests of metrics."""

import numpy as np
import torch

from transgan.metrics.fid import FeatureStatistics
from transgan.metrics.reference_statistics import Reference


def gaussian(count: int, width: int, seed: int, mean: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    """Independent normal features (count, width)."""
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) * scale + mean


def exact(mean: float, scale: float, width: int) -> FeatureStatistics:
    """Exact statistics of independent normal features."""
    return FeatureStatistics(np.full(width, mean), np.eye(width) * scale**2, 0)


def reference_of(statistics: FeatureStatistics, features: torch.Tensor | None = None) -> Reference:
    """A reference with these statistics and features, and nothing else."""
    return Reference(statistics, features, None, None, {})
