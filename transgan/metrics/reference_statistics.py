"""Reference statistics: what generated images are compared with, computed once per dataset and protocol, in an .npz.

The file holds mu (D,) and sigma (D, D) of the features, count (the number of images), self_fid (FID of the reference
against itself, which shows the accuracy of the arithmetic), about (sorted JSON that describes what it was computed
from), floor (FID between two disjoint halves of the reference; absent when they are too small) and, where a metric
needs them, features float32 (N, D): all of them for KID, `prc_samples` evenly spaced ones for precision and recall
alone.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transgan.errors import UserError
from transgan.metrics import extractors
from transgan.metrics.fid import FeatureStatistics, check_sample_counts, frechet_distance
from transgan.metrics.image_sources import ImageSource
from transgan.metrics.subsets import evenly_spaced, random_halves
from transgan.schema import ProtocolConfig
from transgan.utils.npz import read_npz, write_npz

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """Statistics of reference images.

    `features` (N, D) are None where no metric needs them, `floor` is None for too few images, `self_fid` is None in
    imported files; `about` describes what the reference was computed from.
    """

    statistics: FeatureStatistics
    features: Tensor | None
    floor: float | None
    self_fid: float | None
    about: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write the .npz atomically. The same reference gives the same bytes."""
        arrays: dict[str, NDArray[Any]] = {
            "mu": self.statistics.mu,
            "sigma": self.statistics.sigma,
            "count": np.array(self.statistics.count),
            "self_fid": np.array(self.self_fid),
            "about": np.array(json.dumps(self.about, sort_keys=True)),
        }
        if self.floor is not None:
            arrays["floor"] = np.array(self.floor)
        if self.features is not None:
            arrays["features"] = self.features.numpy()
        write_npz(path, arrays)


def compute_reference(
    images: ImageSource,
    protocol: ProtocolConfig,
    weights: Path,
    device: torch.device,
    about: Mapping[str, Any] | None = None,
    label: str = "reference",
) -> Reference:
    """Statistics of `images` under `protocol`. `weights` is the file of the extractor's weights.

    `about` is stored with them; `label` names the work in messages. Raises UserError when there are fewer images than
    the protocol allows.
    """
    extractor = extractors.build(protocol, weights, [protocol.feature_layer], device)
    width = extractor.widths[protocol.feature_layer]
    for warning in check_sample_counts(protocol, width, {label: images.count}):
        logger.warning(warning)
    features = extractors.extract(extractor, images.batches(protocol.batch), images.count, label)
    return reference_of_features(images.in_order(features[protocol.feature_layer]), protocol, about)


def reference_of_features(
    features: Tensor, protocol: ProtocolConfig, about: Mapping[str, Any] | None = None
) -> Reference:
    """The reference that follows from the features (N, D) of all its images."""
    statistics = FeatureStatistics.of(features)
    floor = None
    if len(features) // 2 >= features.shape[1]:
        floor = frechet_distance(*(FeatureStatistics.of(half) for half in random_halves(features)))
    stored = protocol.stored_features
    subset = evenly_spaced(len(features), None if stored is True else stored)
    return Reference(
        statistics,
        features[subset] if stored else None,
        floor,
        frechet_distance(statistics, statistics),
        dict(about or {}),
    )


def load_reference(path: Path) -> Reference:
    """Read a reference: a file of this project, or an .npz with mu and sigma of another FID program.

    Raises UserError when the file is missing or damaged, or mu and sigma are no mean and covariance.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file; create it with `transgan reference DATASET PROTOCOL`")
    arrays = read_npz(path)
    if not {"mu", "sigma"} <= set(arrays):
        raise UserError(
            f"{path}: has no arrays mu and sigma (it has: {', '.join(sorted(arrays))}); not reference statistics"
        )
    mu, sigma = arrays["mu"], arrays["sigma"]
    if not all(np.issubdtype(array.dtype, np.floating) for array in (mu, sigma)):
        raise UserError(f"{path}: mu ({mu.dtype}) and sigma ({sigma.dtype}) must be floating-point numbers")
    sigma = sigma.astype(np.float64)
    if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)) or not (np.isfinite(mu).all() and np.isfinite(sigma).all()):
        raise UserError(f"{path}: mu {mu.shape} and sigma {sigma.shape} must be finite, of shapes (D,) and (D, D)")
    if (sigma.diagonal() < 0).any() or not np.allclose(sigma, sigma.T):
        raise UserError(f"{path}: sigma is no covariance: it must be symmetric, without negative variances")
    try:
        features = torch.from_numpy(arrays["features"]) if "features" in arrays else None
        about = json.loads(str(arrays["about"])) if "about" in arrays else {"imported": path.name}
        count = int(arrays["count"]) if "count" in arrays else 0
        floor, self_fid = (float(arrays[key]) if key in arrays else None for key in ("floor", "self_fid"))
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it and create it again") from error
    if not isinstance(about, dict) or (features is not None and features.shape[1:] != mu.shape):
        raise UserError(f"{path}: damaged (about or features do not fit mu); delete it and create it again")
    return Reference(FeatureStatistics(mu, sigma, count), features, floor, self_fid, about)


def export_statistics(path: Path, target: Path) -> None:
    """Write mu and sigma of the reference in `path` to `target`, in double precision, for other FID programs."""
    statistics = load_reference(path).statistics
    write_npz(target, {"mu": statistics.mu.astype(np.float64), "sigma": statistics.sigma})
