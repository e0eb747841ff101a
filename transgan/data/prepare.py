"""The stage prepare: packs a fetched source (see pack.py) and draws a contact sheet."""

import logging
import shutil
from collections import Counter
from pathlib import Path

from transgan.config.paths import MANIFEST, SOURCE
from transgan.config.plan import Plan
from transgan.data.pack import content_digest
from transgan.data.packing import PROGRESS, PackingJob, finish_images, pack_images, write_contact_sheet
from transgan.data.readers import Reader, open_reader
from transgan.data.readers.base import check_counts
from transgan.data.source_description import describe, source_digest
from transgan.data.transforms import CropAndResize
from transgan.errors import UserError
from transgan.pipeline.stages import stage
from transgan.pipeline.workspace import run_stage
from transgan.schema import DatasetConfig
from transgan.utils import files

logger = logging.getLogger(__name__)


UNREADABLE = "unreadable.txt"
NAMED_IN_MESSAGE = 5  # unreadable images; unreadable.txt lists all of them


def prepare(plan: Plan, dataset: str, again: bool = False) -> None:
    """Build the pack of `dataset` in plan.paths.data(dataset): images.npy, labels.npy, manifest.json, contact.png.

    Works in data/store and resumes an interrupted call. With `again`, a finished pack is built again. Peak memory does
    not depend on the number of images. Raises UserError when the source has not been fetched, is damaged or hostile, or
    its counts differ from `splits`.
    """
    config = plan.dataset(dataset)
    source = fetched_source(plan, dataset)
    fingerprint = plan.fingerprint("prepare", dataset)

    def work(store: Path) -> dict[str, str]:
        _check_source(plan, dataset, source)
        scratch = store / "scratch"
        with open_reader(config, scratch) as reader:
            for note in reader.notes:
                logger.info(note)
            digests = _build_pack(config, reader, store, dataset, source, fingerprint)
        shutil.rmtree(scratch, ignore_errors=True)
        return digests

    run_stage(plan, stage(plan, "prepare", dataset), work, {"source": source}, again)


def fetched_source(plan: Plan, dataset: str) -> str:
    """Return the digest of the fetched source, from source.json."""
    path = plan.paths.data(dataset) / SOURCE
    if not path.exists():
        raise UserError(f"{path}: not there; run `{plan.command('fetch', dataset)}` first")
    content = files.read_json(path)
    described = content.get("files") if isinstance(content, dict) else None
    if not isinstance(described, list) or content.get("digest") != source_digest(described):
        raise UserError(f"{path}: damaged; delete it and run `{plan.command('fetch', dataset)}` again")
    return str(content["digest"])


def _check_source(plan: Plan, dataset: str, fetched: str) -> None:
    """Raise UserError unless the source has the content that was fetched."""
    config = plan.dataset(dataset)
    if source_digest(describe(config)) != fetched:
        raise UserError(
            f"dataset {dataset} ({config.path or config.source}): its files were changed or damaged after they were"
            f" fetched (their SHA-256 is not that in {plan.paths.data(dataset) / SOURCE});"
            f" run `{plan.command('fetch', dataset)}` again"
        )


def _build_pack(
    config: DatasetConfig, reader: Reader, store: Path, dataset: str, source: str, fingerprint: str
) -> dict[str, str]:
    """Build the pack in `store`; return {file name: SHA-256} of its large files."""
    title = f"dataset {dataset} ({config.path or config.source})"
    expected = Counter(entry.split for entry in reader.entries)
    check_counts(config.splits, expected, config.allow_partial, title)
    job = PackingJob(reader, CropAndResize.from_config(config), [split.name for split in config.splits])
    packed = pack_images(job, store, f"prepare {dataset}")
    _report_unreadable(job, config, store, title)
    good = Counter(entry.split for _, entry in job.readable_entries())
    check_counts(config.splits, good, config.allow_partial or bool(job.unreadable), title)
    digests = finish_images(job, store, packed)
    write_contact_sheet(store)
    manifest = _manifest(config, job, good) | {
        "sha256": content_digest(digests),
        "source": source,
        "fingerprint": fingerprint,
    }
    files.write_json(store / MANIFEST, manifest)
    return digests


def _report_unreadable(job: PackingJob, config: DatasetConfig, store: Path, title: str) -> None:
    """Report images that cannot be read: raise UserError, or with `on_error: skip` log their number."""
    if not job.unreadable:
        return
    lines = [f"{name}: {reason}" for name, reason in sorted(job.unreadable.items())]
    files.write_text(store / UNREADABLE, "\n".join(lines) + "\n")
    first = "; ".join(lines[:NAMED_IN_MESSAGE])
    if len(lines) > NAMED_IN_MESSAGE:
        first += f"; {len(lines) - NAMED_IN_MESSAGE} more in {store / UNREADABLE}"
    message = f"{title}: {len(lines):,} of {len(job.entries):,} images cannot be read: {first}"
    if config.on_error == "fail":
        (store / PROGRESS).unlink()  # the next call must decode all of them again
        raise UserError(f"{message}; replace or remove them, or set `on_error: skip`")
    logger.warning(f"{message}; skipped")


def _manifest(config: DatasetConfig, job: PackingJob, good: Counter[str]) -> dict[str, object]:
    splits: dict[str, list[int]] = {}
    start = 0
    for split in config.splits:
        splits[split.name] = [start, start + good[split.name]]
        start += good[split.name]
    return {
        "count": start,
        "resolution": config.resolution,
        "splits": splits,
        "classes": job.reader.classes,
        "resize": config.resize,
        "crop": config.crop,
        "skipped": len(job.unreadable),
    }
