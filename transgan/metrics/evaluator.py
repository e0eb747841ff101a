"""Evaluates images or a generator against a reference under a protocol: all metrics in one pass, and their settings."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from transgan.errors import UserError
from transgan.metrics import extractors
from transgan.metrics.fid import (
    FeatureStatistics,
    check_sample_counts,
    extrapolate_fid,
    fid_by_count,
    frechet_distance,
)
from transgan.metrics.image_sources import ImageSource
from transgan.metrics.inception_score import inception_score
from transgan.metrics.kid import kernel_inception_distance
from transgan.metrics.metric_value import MetricValue
from transgan.metrics.precision_recall import precision_recall
from transgan.metrics.reference_statistics import Reference
from transgan.metrics.samples import uint8_samples
from transgan.schema import ProtocolConfig

logger = logging.getLogger(__name__)

SPREADS = {"is": "split_std", "kid": "subset_std"}
TITLES = {"is": "IS", "fid": "FID", "kid": "KID", "precision": "precision", "recall": "recall"}


@dataclass(frozen=True)
class EvaluationSource:
    """A set of images to evaluate.

    `batches(device)` streams `count` images as uint8 (B, 3, H, W). `in_order` reorders features (count, D) from stream
    order to the images' own order.
    """

    name: str
    count: int
    batches: Callable[[torch.device], Iterator[Tensor]]
    in_order: Callable[[Tensor], Tensor] = lambda features: features


def generator_sources(generator: nn.Module, protocol: ProtocolConfig) -> list[EvaluationSource]:
    """The protocol's samples of a generator, one source per evaluation seed."""
    count, batch, quantization = protocol.samples, protocol.batch, protocol.quantize
    return [
        EvaluationSource(
            f"evaluation seed {seed}", count, partial(uint8_samples, generator, seed, count, batch, quantization)
        )
        for seed in protocol.seeds
    ]


def stored_images(images: ImageSource, protocol: ProtocolConfig) -> EvaluationSource:
    """Stored images as a source to evaluate."""
    return EvaluationSource("", images.count, lambda _: images.batches(protocol.batch), images.in_order)


def evaluate_sources(
    sources: Sequence[EvaluationSource],
    reference: Reference,
    protocol: ProtocolConfig,
    weights: Path,
    device: torch.device,
    label: str = "evaluate",
    published: Mapping[str, Reference] | None = None,
) -> dict[str, Any]:
    """Metrics (one value per source), settings and warnings. `weights` is the file of the extractor's weights.

    `label` names the work in messages. `published` are further statistics by name; if there are any, the result's
    `published` holds, by name, FID of the same features against them, one value per source. Raises UserError when there
    are too few images, features or a metric are not finite, or the reference comes from another layer.
    """
    extractor = extractors.build(protocol, weights, required_layers(protocol), device)
    counts = {"samples": min(source.count for source in sources), "reference": reference.statistics.count}
    warnings = check_sample_counts(protocol, extractor.widths[protocol.feature_layer], counts)
    if counts["samples"] < protocol.samples:
        warnings.append(
            f"{counts['samples']:,} images instead of the protocol's {protocol.samples:,}: "
            "FID is biased upwards, IS downwards"
        )
    for warning in warnings:
        logger.warning(f"{label}: {warning}")
    results = []
    further: dict[str, list[float]] = {name: [] for name in published or {}}
    for source in sources:
        features = extractors.extract(
            extractor, source.batches(device), source.count, f"{label} ({source.name})" if source.name else label
        )
        ordered = {layer: source.in_order(values) for layer, values in features.items()}
        results.append(compute_metrics(protocol, ordered, reference))
        for name, other in (published or {}).items():
            generated = FeatureStatistics.of(ordered[protocol.feature_layer])
            further[name].append(_finite(f"fid under {name}", frechet_distance(generated, other.statistics)))
    return {
        "metrics": tabulate(protocol, results),
        "settings": {**settings(protocol, reference), "samples": counts["samples"]},
        "warnings": warnings,
        **({"published": further} if further else {}),
    }


def required_layers(protocol: ProtocolConfig) -> list[str]:
    """The extractor's layers that the protocol's metrics need."""
    layers = [protocol.feature_layer] if set(protocol.metrics) - {"is"} else []
    return [*layers, extractors.LOGITS[protocol.extractor]] if "is" in protocol.metrics else layers


def compute_metrics(
    protocol: ProtocolConfig, features: Mapping[str, Tensor], reference: Reference
) -> dict[str, MetricValue]:
    """The protocol's metrics of one set of images, by name: is, fid, kid, precision, recall.

    `features` maps each of `required_layers(protocol)` to features (N, D). Raises UserError when a metric needs
    reference features that the reference does not have, or when a value is not finite.
    """
    values: dict[str, MetricValue] = {}
    if "is" in protocol.metrics:
        values["is"] = inception_score(features[extractors.LOGITS[protocol.extractor]], protocol.is_splits)
    if "fid" in protocol.metrics:
        generated = features[protocol.feature_layer]
        values["fid"] = MetricValue(
            frechet_distance(FeatureStatistics.of(generated), reference.statistics),
            by_count=fid_by_count(generated, reference.statistics, protocol.fid_counts),
        )
    if "kid" in protocol.metrics:
        values["kid"] = kernel_inception_distance(
            features[protocol.feature_layer], _reference_features(reference, "KID needs"), protocol
        )
    if "prc" in protocol.metrics:
        values |= precision_recall(
            features[protocol.feature_layer], _reference_features(reference, "precision and recall need"), protocol
        )
    for name, value in values.items():
        _finite(name, value.value)
    return values


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise UserError(
            f"{name} is {value}, but a score must be finite; the images or the reference statistics are degenerate"
        )
    return value


def tabulate(protocol: ProtocolConfig, results: Sequence[Mapping[str, MetricValue]]) -> dict[str, dict[str, Any]]:
    """Per metric: `values`, one per source; its spread, if it has one; with `fid_counts`, FID by number of samples."""
    table: dict[str, dict[str, Any]] = {}
    for name in results[0]:
        values = [result[name] for result in results]
        table[name] = {"values": [value.value for value in values]}
        if name in SPREADS:
            table[name][SPREADS[name]] = [value.spread for value in values]
        if values[0].by_count:
            table[name] |= {
                "counts": list(protocol.fid_counts),
                "by_count": [list(value.by_count) for value in values],
                "extrapolated": [extrapolate_fid(protocol.fid_counts, value.by_count) for value in values],
            }
    return table


def settings(protocol: ProtocolConfig, reference: Reference) -> dict[str, Any]:
    """What a caption must mention: settings of the protocol, titles of the metrics, facts about the reference."""
    fields = ("extractor", "feature_layer", "splits", "quantize", "is_splits", "seeds", "precision")
    plain = protocol.plain()
    return {
        **{field: plain[field] for field in fields},
        "titles": {metric: title(metric, protocol) for metric in TITLES},
        "reference_count": reference.statistics.count,
        "floor": reference.floor,
        "self_fid": reference.self_fid,
    }


def title(metric: str, protocol: ProtocolConfig) -> str:
    """The title of a metric: only layer 2048 of Inception gives what papers call FID and KID.

    Precision and recall of that layer have their plain names; those of VGG-16, on which they are defined, name it.
    """
    name = TITLES[metric]
    if protocol.extractor == "digits":
        return f"{name}-digits"
    if protocol.extractor == "vgg16":
        return f"{name}-{protocol.extractor}"
    return name if metric == "is" or protocol.feature_layer == "2048" else f"{name}-{protocol.feature_layer}"


def _reference_features(reference: Reference, who_needs: str) -> Tensor:
    if reference.features is None:
        raise UserError(
            f"{who_needs} the features of the reference, but it has only statistics; give images, or --metrics is,fid"
        )
    return reference.features
