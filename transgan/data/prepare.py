"""The stage prepare: a fetched source becomes a pack (pack.py) and a contact sheet."""

import hashlib
import logging
import posixpath
import shutil
from collections import Counter
from pathlib import Path

from transgan.config.plan import Plan
from transgan.data.pack import CONTACT, IMAGES, LABELS, MANIFEST
from transgan.data.packing import Job, finish_images, pack_images, write_contact_sheet
from transgan.data.readers import Reader, open_reader
from transgan.data.readers.base import check_counts
from transgan.data.transforms import IMAGE_SUFFIXES, CropAndResize
from transgan.errors import UserError
from transgan.pipeline.workspace import run_stage
from transgan.schema import DatasetConfig
from transgan.utils import files

logger = logging.getLogger(__name__)


SOURCE = "source.json"
UNREADABLE = "unreadable.txt"
NAMED = 5  # unreadable pictures named in the one line; the file has them all


def prepare(plan: Plan, dataset: str) -> None:
    """Make the pack of `dataset` in plan.paths.data(dataset): images.npy, labels.npy, manifest.json, contact.png.

    Works in the data store, goes on where an interrupted call stopped, and uses peak memory that does not depend on the number of pictures.
    Raises UserError when the source has not been fetched, is damaged or hostile, or has other counts than `splits` says.
    """
    config = plan.dataset(dataset)
    folder = plan.paths.data(dataset)
    source = source_digest(plan, dataset)
    fingerprint = plan.fingerprint("prepare", dataset)

    def work(store: Path) -> dict[str, str]:
        scratch = store / "scratch"
        with open_reader(config, scratch) as reader:
            digests = _make(config, reader, store, dataset, source, fingerprint)
        shutil.rmtree(scratch, ignore_errors=True)
        return digests

    outputs = {name: folder / name for name in (IMAGES, LABELS, MANIFEST, CONTACT)}
    run_stage(plan, "prepare", dataset, outputs, work, {"source": source})


def source_digest(plan: Plan, dataset: str) -> str:
    """The digest of what `fetch` found, from source.json."""
    path = plan.paths.data(dataset) / SOURCE
    if not path.exists():
        raise UserError(f"{path}: not there; run `{plan.command('fetch', dataset)}` first")
    found = files.read_json(path)
    if not isinstance(found, dict) or "digest" not in found:
        raise UserError(f"{path}: damaged; delete it and run `{plan.command('fetch', dataset)}` again")
    return str(found["digest"])


def _make(
    config: DatasetConfig, reader: Reader, store: Path, dataset: str, source: str, fingerprint: str
) -> dict[str, str]:
    """The pack in `store`; returns the digests of its large files."""
    where = f"dataset {dataset} ({config.path or config.source})"
    expected = Counter(entry.split for entry in reader.entries if _looks_like_picture(entry.name, config))
    check_counts(config.splits, expected, config.allow_partial, where)
    job = Job(reader, CropAndResize.from_config(config), [split.name for split in config.splits])
    packed = pack_images(job, store, f"prepare {dataset}")
    _judge_unreadable(job, config, store, where)
    good = Counter(entry.split for _, entry in job.good_entries())
    check_counts(config.splits, good, config.allow_partial or bool(job.bad), where)
    digests = finish_images(job, store, packed)
    write_contact_sheet(store)
    manifest = _manifest(config, job, good) | {"sha256": _digest(digests), "source": source, "fingerprint": fingerprint}
    files.write_json(store / MANIFEST, manifest)
    return digests


def _looks_like_picture(name: str, config: DatasetConfig) -> bool:
    suffix = posixpath.splitext(name)[1].lower()
    return suffix in ("", ".") or suffix in IMAGE_SUFFIXES or (config.source == "celebahq" and suffix == ".npy")


def _judge_unreadable(job: Job, config: DatasetConfig, store: Path, where: str) -> None:
    """Name the pictures that cannot be read: an error, or with `on_error: skip` a count."""
    if not job.bad:
        return
    lines = [f"{name}: {reason}" for name, reason in sorted(job.bad.items())]
    files.write_text(store / UNREADABLE, "\n".join(lines) + "\n")
    first = "; ".join(lines[:NAMED]) + (
        f"; {len(lines) - NAMED} more in {store / UNREADABLE}" if len(lines) > NAMED else ""
    )
    what = f"{where}: {len(lines):,} of {len(job.entries):,} pictures cannot be read: {first}"
    if config.on_error == "fail":
        (store / "progress.json").unlink()  # the next call must look at them again
        raise UserError(f"{what}; replace or remove them, or set `on_error: skip`")
    logger.warning(f"{what}; skipped")


def _manifest(config: DatasetConfig, job: Job, good: Counter[str]) -> dict[str, object]:
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
        "skipped": len(job.bad),
    }


def _digest(digests: dict[str, str]) -> str:
    """What `sha256sum images.npy labels.npy | sha256sum` gives."""
    return hashlib.sha256("".join(f"{digests[name]}  {name}\n" for name in (IMAGES, LABELS)).encode()).hexdigest()
