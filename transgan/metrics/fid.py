"""Fréchet inception distance (FID, Heusel et al. 2017), computed by torch-fidelity, and checks of the sample counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from transgan.errors import UserError
from transgan.schema import ProtocolConfig


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean (D,) and covariance (D, D) of the features of `count` images (0: unknown, as in imported files)."""

    mu: NDArray[np.floating]
    sigma: NDArray[np.float64]
    count: int

    @classmethod
    def of(cls, features: Tensor) -> "FeatureStatistics":
        """Statistics of features (N, D)."""
        statistics = fid_features_to_statistics(features)
        return cls(statistics["mu"], statistics["sigma"], len(features))


def frechet_distance(generated: FeatureStatistics, reference: FeatureStatistics) -> float:
    """FID: the Fréchet distance between two Gaussians. Raises UserError when they have different numbers of features.

    Means of different precision (an imported file) are both converted to double precision.
    """
    if generated.mu.shape != reference.mu.shape:
        raise UserError(
            f"reference statistics have {len(reference.mu)} features, "
            f"the protocol's layer has {len(generated.mu)}: not the same layer"
        )
    if generated.mu.dtype != reference.mu.dtype:
        generated, reference = (replace(side, mu=side.mu.astype(np.float64)) for side in (generated, reference))
    pair = [{"mu": side.mu, "sigma": side.sigma} for side in (generated, reference)]
    return float(fid_statistics_to_metric(*pair, verbose=False)[KEY_METRIC_FID])


def fid_by_count(generated: Tensor, reference: FeatureStatistics, counts: Sequence[int]) -> tuple[float, ...]:
    """FID of the first n samples, for every n of `counts`: shows the bias at small n."""
    return tuple(frechet_distance(FeatureStatistics.of(generated[:count]), reference) for count in counts)


def extrapolate_fid(counts: Sequence[int], values: Sequence[float]) -> float:
    """FID at infinitely many samples: the intercept of a line through FID over 1/n (Chong and Forsyth 2020)."""
    _, intercept = np.polyfit(1.0 / np.asarray(counts, dtype=np.float64), np.asarray(values, dtype=np.float64), 1)
    return float(intercept)


def check_sample_counts(protocol: ProtocolConfig, width: int, counts: Mapping[str, int]) -> list[str]:
    """Refuse to compute FID from fewer images than features, unless the protocol allows it; then return warnings.

    `counts` maps the name of a set to its number of images (0: unknown), `width` is the number of features. With fewer
    images than features the covariance is singular, and FID depends more on the number of images than on the images.
    """
    if "fid" not in protocol.metrics:
        return []
    too_few = {name: count for name, count in counts.items() if 0 < count < width}
    if too_few and not protocol.allow_few_samples:
        name, count = next(iter(too_few.items()))
        raise UserError(
            f"protocol: {name}: {count:,} images are fewer than the {width:,} features of layer "
            f"{protocol.feature_layer}, so FID would mislead; use more images or a smaller layer, "
            "or set allow_few_samples: true in the protocol, an entry of protocols in params.yaml"
        )
    return [
        f"{name}: {count:,} images are fewer than the {width:,} features; this FID is far too high"
        for name, count in too_few.items()
    ]
