"""Metrics: from features to numbers, each by torch-fidelity's own function, and the checks that refuse numbers that would mislead.

FID: Heusel et al. 2017; IS: Salimans et al. 2016; KID: Binkowski et al. 2018; precision and recall: Kynkaanniemi et al. 2019.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

from transgan.errors import UserError
from transgan.schema import ProtocolConfig


@dataclass(frozen=True)
class Statistics:
    """Mean (D,) and covariance (D, D) of a set's features; `count` is 0 where the number of pictures is unknown (imported files)."""

    mu: NDArray[np.floating]
    sigma: NDArray[np.float64]
    count: int

    @classmethod
    def of(cls, features: Tensor) -> "Statistics":
        """Of features (N, D)."""
        found = fid_features_to_statistics(features)
        return cls(found["mu"], found["sigma"], len(features))


@dataclass(frozen=True)
class Measured:
    """A metric of one set of samples: its value, its spread inside the evaluation (IS: over splits, KID: over subsets), FID at smaller counts."""

    value: float
    spread: float | None = None
    by_count: tuple[float, ...] = ()


def layers(protocol: ProtocolConfig, metrics: Sequence[str], logits: str) -> list[str]:
    """The extractor's layers that `metrics` need: all metrics come from one pass."""
    wanted = [protocol.feature_layer] if set(metrics) - {"is"} else []
    return [*wanted, logits] if "is" in metrics else wanted


def check_counts(protocol: ProtocolConfig, metrics: Sequence[str], width: int, counts: Mapping[str, int]) -> list[str]:
    """Refuse a FID from fewer pictures than features, unless the protocol allows it by name; returns warnings.

    `counts` maps what a set is called to its number of pictures (0: unknown). With fewer pictures than features the covariance is singular and
    FID says more about the number of pictures than about the pictures.
    """
    if "fid" not in metrics:
        return []
    few = {name: count for name, count in counts.items() if 0 < count < width}
    if few and not protocol.allow_few_samples:
        name, count = next(iter(few.items()))
        raise UserError(
            f"protocol: {name}: {count:,} pictures are fewer than the {width:,} features of layer {protocol.feature_layer}: such a FID misleads; "
            "take more, a smaller layer, or set allow_few_samples: true"
        )
    return [
        f"{name}: {count:,} pictures are fewer than the {width:,} features; this FID is far too high"
        for name, count in few.items()
    ]


def measure(
    protocol: ProtocolConfig,
    metrics: Sequence[str],
    features: Mapping[str, Tensor],
    logits: str,
    reference: Statistics | None,
    reference_features: Tensor | None,
) -> dict[str, Measured]:
    """Every metric of one set of features (layer -> (N, D)) against the reference, by name: is, fid, kid, precision, recall.

    Raises UserError when a metric needs reference features that are not there, or a value is not finite.
    """
    found: dict[str, Measured] = {}
    generated = features.get(protocol.feature_layer)
    if "is" in metrics:
        found["is"] = inception_score(features[logits], protocol.is_splits)
    if "fid" in metrics and generated is not None and reference is not None:
        found["fid"] = Measured(
            frechet(Statistics.of(generated), reference), by_count=by_count(generated, reference, protocol.fid_counts)
        )
    if "kid" in metrics and generated is not None:
        found["kid"] = kernel_distance(generated, _needed(reference_features, "kid"), protocol)
    if "prc" in metrics and generated is not None:
        found |= precision_recall(generated, _needed(reference_features, "precision and recall"), protocol)
    for name, measured in found.items():
        if not math.isfinite(measured.value):
            raise UserError(
                f"{name} is {measured.value}: a score must be finite; the pictures or the reference statistics are degenerate"
            )
    return found


def inception_score(logits: Tensor, splits: int) -> Measured:
    """IS of logits (N, classes): mean and std over splits."""
    found = isc_features_to_metric(logits, splits)
    return Measured(found[KEY_METRIC_ISC_MEAN], found[KEY_METRIC_ISC_STD])


def frechet(generated: Statistics, reference: Statistics) -> float:
    """FID between two Gaussians; in double precision where one of them is imported in another precision. Raises UserError on other widths."""
    if generated.mu.shape != reference.mu.shape:
        raise UserError(
            f"reference statistics have {len(reference.mu)} features, the protocol's layer has {len(generated.mu)}: not the same layer"
        )
    if generated.mu.dtype != reference.mu.dtype:
        generated, reference = (replace(part, mu=part.mu.astype(np.float64)) for part in (generated, reference))
    pair = [{"mu": part.mu, "sigma": part.sigma} for part in (generated, reference)]
    return float(fid_statistics_to_metric(*pair, verbose=False)[KEY_METRIC_FID])


def by_count(generated: Tensor, reference: Statistics, counts: Sequence[int]) -> tuple[float, ...]:
    """FID of the first n samples for every n of `counts`: shows the bias at small n."""
    return tuple(frechet(Statistics.of(generated[:count]), reference) for count in counts)


def extrapolate(counts: Sequence[int], values: Sequence[float]) -> float:
    """FID at infinitely many samples: the intercept of a straight line through FID against 1/n (Chong and Forsyth 2020)."""
    _, intercept = np.polyfit(1.0 / np.asarray(counts, dtype=np.float64), np.asarray(values, dtype=np.float64), 1)
    return float(intercept)


def kernel_distance(generated: Tensor, reference: Tensor, protocol: ProtocolConfig) -> Measured:
    """KID between features (N, D) and (M, D): mean and std over random subsets; a little below zero is right for equal distributions."""
    smaller = min(len(generated), len(reference))
    if smaller < protocol.kid_subset_size:
        raise UserError(
            f"protocol: kid_subset_size {protocol.kid_subset_size:,} is more than the {smaller:,} pictures there are; make it smaller"
        )
    sizes = {"kid_subsets": protocol.kid_subsets, "kid_subset_size": protocol.kid_subset_size}
    found = kid_features_to_metric(generated, reference, verbose=False, **sizes)
    return Measured(found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD])


def precision_recall(generated: Tensor, reference: Tensor, protocol: ProtocolConfig) -> dict[str, Measured]:
    """Precision and recall of features (N, D) against (M, D), from at most prc_samples of each, evenly spaced."""
    pair = [part[evenly(len(part), protocol.prc_samples)] for part in (generated, reference)]
    if min(map(len, pair)) <= protocol.prc_neighborhood:
        raise UserError(
            f"protocol: prc_neighborhood {protocol.prc_neighborhood} needs more pictures than the {min(map(len, pair))} there are"
        )
    found = prc_features_to_metric(
        *pair, prc_neighborhood=protocol.prc_neighborhood, prc_batch_size=10000, save_cpu_ram=True, verbose=False
    )
    return {"precision": Measured(found[KEY_METRIC_PRECISION]), "recall": Measured(found[KEY_METRIC_RECALL])}


def evenly(total: int, count: int | None) -> NDArray[np.int64]:
    """Indices of `count` of `total` things, evenly spaced, so that a set sorted by class keeps its mixture; all of them if there are no more."""
    if count is None or count >= total:
        return np.arange(total, dtype=np.int64)
    return (np.arange(count, dtype=np.int64) * total) // count


def halves(features: Tensor) -> tuple[Tensor, Tensor]:
    """Two disjoint halves of features (N, D), drawn at random but always the same."""
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    middle = len(features) // 2
    return features[order[:middle]], features[order[middle : 2 * middle]]


def _needed(features: Tensor | None, what: str) -> Tensor:
    if features is None:
        raise UserError(
            f"{what} need the reference's features, statistics alone do not do; give pictures as reference, or --metrics is,fid"
        )
    return features
