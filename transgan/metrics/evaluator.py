"""One evaluation: sources of pictures against a reference under a protocol, every metric from one pass, with what a caption must say."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transgan.config.plan import Plan
from transgan.schema import ProtocolConfig

if TYPE_CHECKING:
    import torch

    from transgan.metrics.functional import Measured
    from transgan.scoring.reference import Reference

logger = logging.getLogger(__name__)

SPREADS = {"is": "split_std", "kid": "subset_std"}
TITLES = {"is": "IS", "fid": "FID", "kid": "KID", "precision": "precision", "recall": "recall"}


@dataclass(frozen=True)
class Source:
    """A set of pictures to measure: `batches(device)` streams `count` pictures as uint8 (B, 3, H, W); `in_order` brings what is had of them in
    that order into their own."""

    name: str
    count: int
    batches: Callable[["torch.device"], Iterator["torch.Tensor"]]
    in_order: Callable[["torch.Tensor"], "torch.Tensor"] = lambda features: features


def measure(
    plan: Plan, protocol: ProtocolConfig, sources: Sequence[Source], against: "Reference", path: Path, what: str
) -> dict[str, Any]:
    """Metrics (a value per source), settings and warnings; the extractor's weights lie in `path`.

    Raises UserError when the counts would mislead, features or a score are not finite, or the reference is of another layer.
    """
    from transgan.hardware.device import prepare_compute
    from transgan.metrics import extractors, functional

    device = prepare_compute(protocol.threads, plan.params.execution.device)
    logits = extractors.LOGITS[protocol.extractor]
    extractor = extractors.build(protocol, path, functional.layers(protocol, protocol.metrics, logits), device)
    counts = {"samples": min(source.count for source in sources), "reference": against.statistics.count}
    warnings = functional.check_counts(protocol, protocol.metrics, extractor.widths[protocol.feature_layer], counts)
    if counts["samples"] < protocol.samples:
        warnings.append(
            f"{counts['samples']:,} pictures, the protocol asks for {protocol.samples:,}: FID is biased upwards, IS downwards"
        )
    for warning in warnings:
        logger.warning(f"{what}: {warning}")
    measured = []
    for source in sources:
        features = extractors.extract(
            extractor, source.batches(device), source.count, f"{what} ({source.name})" if source.name else what
        )
        features = {layer: source.in_order(found) for layer, found in features.items()}
        measured.append(
            functional.measure(protocol, protocol.metrics, features, logits, against.statistics, against.features)
        )
    return {
        "metrics": tabulate(protocol, measured),
        "settings": {**settings(protocol, against), "samples": counts["samples"]},
        "warnings": warnings,
    }


def tabulate(protocol: ProtocolConfig, measured: Sequence[dict[str, "Measured"]]) -> dict[str, dict[str, Any]]:
    """Per metric: values (one per source) and, where the metric has one, its spread inside an evaluation, and FID by number of samples."""
    from transgan.metrics.functional import extrapolate

    table: dict[str, dict[str, Any]] = {}
    for name in measured[0]:
        found = [each[name] for each in measured]
        table[name] = {"values": [one.value for one in found]}
        if name in SPREADS:
            table[name][SPREADS[name]] = [one.spread for one in found]
        if found[0].by_count:
            table[name] |= {
                "counts": list(protocol.fid_counts),
                "by_count": [list(one.by_count) for one in found],
                "extrapolated": [extrapolate(protocol.fid_counts, one.by_count) for one in found],
            }
    return table


def settings(protocol: ProtocolConfig, against: "Reference") -> dict[str, Any]:
    """What a caption says about a score: the protocol's settings, how the metrics must be called, the reference's count, floor and self-FID."""
    fields = ("extractor", "feature_layer", "splits", "quantize", "is_splits", "seeds", "precision")
    plain = protocol.plain()
    return {
        **{field: plain[field] for field in fields},
        "titles": {metric: title(metric, protocol) for metric in TITLES},
        "reference_count": against.statistics.count,
        "floor": against.floor,
        "self_fid": against.self_fid,
    }


def title(metric: str, protocol: ProtocolConfig) -> str:
    """How a metric must be called: only layer 2048 of Inception gives what papers call FID, KID, precision and recall."""
    name = TITLES[metric]
    if protocol.extractor == "digits":
        return f"digit {name}"
    return name if metric == "is" or protocol.feature_layer == "2048" else f"{name}-{protocol.feature_layer}"
