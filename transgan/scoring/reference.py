"""The stage `reference`: statistics once per dataset and protocol, shared by all runs; lists and removes them."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transgan.config.paths import MANIFEST
from transgan.config.plan import Plan
from transgan.config.reference_key import ReferenceKey
from transgan.errors import UserError
from transgan.metrics import weights
from transgan.pipeline.freshness import require
from transgan.pipeline.stages import STATISTICS, stage
from transgan.pipeline.workspace import run_stage
from transgan.scoring import compare_references
from transgan.utils import files

logger = logging.getLogger(__name__)


def run(
    plan: Plan, dataset: str | None, protocol: str | None, published: Path | None = None, again: bool = False
) -> None:
    """The verb `reference`: import the file `published`, compute a reference, or compare it with published statistics.

    Raises UserError for names that do not exist or do not go together, and as the called function does.
    """
    if published is not None:
        if dataset is not None:
            raise UserError("--import FILE takes no DATASET: the protocol that names FILE decides; leave it out")
        compare_references.import_file(plan, published)
        return
    if dataset is None or protocol is None:
        raise UserError("name DATASET and PROTOCOL, or --import FILE; see `transgan reference --help`")
    plan.dataset(dataset)
    if plan.protocol(protocol).statistics is None:
        compute(plan, ReferenceKey(dataset, protocol), again)
    else:
        compare_references.compare(plan, dataset, protocol)


def compute(plan: Plan, key: ReferenceKey, again: bool = False) -> None:
    """Compute the statistics and features of a dataset under a protocol and write them to plan.paths.reference(key).

    With `again`, also if it is finished. Raises UserError when the pack or the weights are missing, or there are fewer
    images than the protocol allows.
    """
    protocol = plan.protocol(key.protocol)
    if protocol.statistics is not None:
        raise UserError(
            f"{plan.file}: protocol {key.protocol} measures against published statistics, which are imported and not "
            f"computed; `{plan.command('reference', *key)}` compares them with this project's"
        )
    data = plan.paths.data(key.dataset)
    require(plan, "prepare", key.dataset, data / MANIFEST, "prepare", key.dataset)
    manifest = files.read_object(data / MANIFEST, plan.command("prepare", key.dataset), sha256=str, resolution=int)
    weights_file, weights_digest = weights.locate(plan, protocol)

    def work(folder: Path) -> None:
        from transgan.data.pack import open_pack
        from transgan.hardware.device import prepare_compute
        from transgan.metrics import image_sources
        from transgan.metrics.reference_statistics import compute_reference
        from transgan.metrics.subsets import evenly_spaced

        device = prepare_compute(protocol.threads, plan.device)
        pack = open_pack(plan, key.dataset, verify=True)
        rows = pack.rows(protocol.splits)
        images = image_sources.from_pack(pack, rows[evenly_spaced(len(rows), protocol.reference_samples)])
        about = {
            "dataset": key.dataset,
            "protocol": key.protocol,
            "data": manifest["sha256"],
            "weights": weights_digest,
            "extractor": protocol.extractor,
            "feature_layer": protocol.feature_layer,
            "splits": list(protocol.splits),
            "resolution": manifest["resolution"],
            "fingerprint": plan.fingerprint("reference", key),
        }
        reference = compute_reference(images, protocol, weights_file, device, about, f"reference {key}")
        reference.save(folder / STATISTICS)

    inputs = {"data": manifest["sha256"], "weights": weights_digest}
    run_stage(plan, stage(plan, "reference", key), work, inputs, again)


@dataclass(frozen=True)
class StoredReference:
    """A finished reference in the state folder; `current`: the params file still has it in this form."""

    name: str
    fingerprint: str
    folder: Path
    size: int
    current: bool


def stored_references(plan: Plan) -> Iterator[StoredReference]:
    """Every finished reference of this scale, current or not, sorted by name."""
    for marker in sorted((plan.paths.state / "reference").glob("*/*/finished.json")):
        folder = marker.parent
        name, fingerprint = folder.parent.name, folder.name
        try:
            current = plan.fingerprint("reference", plan.reference(name)) == fingerprint
        except UserError:  # the params file no longer names it
            current = False
        size = sum(file.stat().st_size for file in folder.iterdir())
        yield StoredReference(name, fingerprint, folder, size, current)


def remove(plan: Plan, name: str) -> int:
    """Remove all stored forms of reference `name` and its declared file; returns the bytes freed.

    Raises UserError if there are none.
    """
    everything = list(stored_references(plan))
    selected = [entry for entry in everything if entry.name == name]
    declared = plan.paths.results / "reference" / f"{name}.npz"
    if not selected and not declared.exists():
        known = ", ".join(dict.fromkeys(entry.name for entry in everything)) or "none"
        raise UserError(f"reference {name}: nothing is stored at scale {plan.scale_name}; stored references: {known}")
    for entry in selected:
        shutil.rmtree(entry.folder)
    declared.unlink(missing_ok=True)
    return sum(entry.size for entry in selected)
