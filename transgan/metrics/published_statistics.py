"""Statistics of real images that others published (mu and sigma in an .npz): imported, verified and loaded.

A protocol's `statistics` name them. Each is stored as data/archives/statistics/FILE with `about`: its published name
and the SHA-256 of the published file. Imports torch only where statistics are read.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from transgan.config.plan import Plan, Run
from transgan.errors import UserError
from transgan.pipeline.freshness import embedded_metadata
from transgan.schema import ProtocolConfig
from transgan.utils import files
from transgan.utils.npz import write_npz

if TYPE_CHECKING:
    from transgan.metrics.fid import FeatureStatistics
    from transgan.metrics.reference_statistics import Reference


def import_file(plan: Plan, file: Path) -> list[tuple[str, str]]:
    """Verify and store a published file that some protocol names; returns the (dataset, protocol) that it serves.

    Raises UserError if no protocol names the file, or if it has no mu and sigma of the length that the protocol's
    layer gives, or these are not finite, or sigma is not symmetric.
    """
    uses = [
        (dataset, name)
        for name, protocol in plan.protocols.items()
        if protocol.statistics is not None
        for dataset, known in protocol.statistics.files.items()
        if known == file.name
    ]
    if not uses:
        known = [name for p in plan.protocols.values() if p.statistics for name in p.statistics.files.values()]
        raise UserError(
            f"{file}: no protocol of {plan.file} names statistics {file.name} (known: {', '.join(known) or 'none'}); "
            "rename the file, or add it under `statistics.files` of a protocol"
        )
    from transgan.metrics.reference_statistics import load_reference

    statistics = load_reference(file).statistics
    for _, name in uses:
        _check_width(file, statistics, plan.protocol(name))
    about = json.dumps({"imported": file.name, "sha256": files.sha256(file)}, sort_keys=True)
    target = plan.paths.published_statistics(file.name)
    write_npz(target, {"mu": statistics.mu, "sigma": statistics.sigma, "about": np.array(about)})
    return uses


def load(plan: Plan, dataset: str, protocol: str) -> "Reference":
    """The imported statistics of a dataset under a protocol. Raises UserError if they have not been imported."""
    from transgan.metrics.reference_statistics import load_reference

    file = file_name(plan, dataset, protocol)
    path = plan.paths.published_statistics(file)
    if not path.exists():
        raise UserError(f"{path}: not there; {how_to_get(plan, protocol, file)}")
    reference = load_reference(path)
    _check_width(path, reference.statistics, plan.protocol(protocol))
    return reference


def imported(plan: Plan, run: Run) -> "dict[str, Reference]":
    """Those of a run's published statistics that have been imported, by protocol."""
    return {
        protocol: load(plan, run.dataset_name, protocol)
        for protocol, file in plan.published_statistics(run).items()
        if plan.paths.published_statistics(file).exists()
    }


def imported_digests(plan: Plan, run: Run) -> dict[str, str]:
    """Protocol -> SHA-256 of the published file, for those of a run's statistics that have been imported."""
    found = {
        protocol: embedded_metadata(plan.paths.published_statistics(file)).get("sha256")
        for protocol, file in plan.published_statistics(run).items()
    }
    return {protocol: str(digest) for protocol, digest in found.items() if digest is not None}


def file_name(plan: Plan, dataset: str, protocol: str) -> str:
    """The name of the published file. Raises UserError if the protocol has none of that dataset."""
    statistics = plan.protocol(protocol).statistics
    if statistics is None or dataset not in statistics.files:
        known = ", ".join(statistics.files) if statistics is not None else "none"
        raise UserError(f"{plan.file}: protocol {protocol} has no statistics of {dataset} (it has: {known})")
    return statistics.files[dataset]


def how_to_get(plan: Plan, protocol: str, file: str) -> str:
    """Where a published file is, and the command that imports it."""
    statistics = plan.protocol(protocol).statistics
    source = statistics.source if statistics is not None else "its publisher"
    return f"get {file} from {source}, then run `{plan.command('reference', '--import', file)}`"


def _check_width(file: Path, statistics: "FeatureStatistics", protocol: ProtocolConfig) -> None:
    """Inception's layers are named after their number of features. Another extractor's are compared when they are."""
    if protocol.feature_layer.isdigit() and len(statistics.mu) != int(protocol.feature_layer):
        raise UserError(
            f"{file}: mu has {len(statistics.mu):,} values, but layer {protocol.feature_layer} of "
            f"{protocol.extractor} has {int(protocol.feature_layer):,}; the file is of another layer or network"
        )
