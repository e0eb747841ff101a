"""The stage fetch: obtains the files of a dataset's source and describes them in source.json."""

import threading
from collections.abc import Callable
from multiprocessing.pool import ThreadPool

from transgan.config.paths import SOURCE
from transgan.config.plan import Plan
from transgan.data.source_description import Description, describe, describe_file, source_digest
from transgan.data.sources.catalog import CATALOG
from transgan.data.sources.local_files import SourceFiles, manual_download_message
from transgan.errors import UserError
from transgan.schema import DatasetConfig
from transgan.utils import files, locks
from transgan.utils.console import progress

PARALLEL_DOWNLOADS = 4
MEGABYTE = 1_000_000


def fetch(plan: Plan, dataset: str) -> None:
    """Obtain the files of the source of `dataset`, and write source.json: their names, sizes and digests.

    Raises UserError when a file is missing and cannot be downloaded, or differs from what its publisher offers.
    """
    config = plan.dataset(dataset)
    mirror = plan.params.data.mirror
    described = _published_files(config, mirror) if config.source in CATALOG else describe(config)
    content = {
        "source": config.source,
        "files": described,
        "digest": source_digest(described),
        "fingerprint": plan.fingerprint("fetch", dataset),
    }
    files.write_json(plan.paths.data(dataset) / SOURCE, content)


def _published_files(config: DatasetConfig, mirror: str | None) -> list[Description]:
    """Download missing files of a source in the catalog, several at once, and describe those that the dataset needs.

    One process at a time fetches a source.
    """
    name, source = config.source, CATALOG[config.source]
    needed = source.files_for(config.crop)
    local = SourceFiles(name, mirror)
    with locks.lock(local.folder / ".lock", f"fetch {name}", wait=True):
        local = SourceFiles(name, mirror)  # read again: another process may have fetched while this one waited
        paths = {file.name: local.find(file) for file in needed}
        missing = [file for file in needed if paths[file.name] is None]
        if missing:
            total = sum(file.size for file in missing) // MEGABYTE
            # A ThreadPool ends with the process: an executor would wait for its downloads after Ctrl-C.
            with progress(f"fetch {name}", max(total, 1), "MB") as bar, ThreadPool(PARALLEL_DOWNLOADS) as pool:
                count = _MegabyteCounter(bar.advance).add
                failures = list(filter(None, pool.imap(lambda file: local.obtain(file, count), missing)))
            if failures:
                raise UserError(manual_download_message(source, failures))
        found = [paths[file.name] or local.folder / file.name for file in needed]
        skip = config.on_error == "skip"
        return [describe_file(path, None if path.is_dir() else local.digests(path).sha256, skip) for path in found]


class _MegabyteCounter:
    """Adds up bytes from several threads and advances a progress bar by whole megabytes."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance, self._bytes, self._lock = advance, 0, threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            before = self._bytes // MEGABYTE
            self._bytes += count
            self._advance(self._bytes // MEGABYTE - before)
