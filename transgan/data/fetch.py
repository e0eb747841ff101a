"""The stage fetch: obtains the files of a dataset's source and describes them in source.json."""

import hashlib
import threading
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from pathlib import Path

from transgan.config.paths import SOURCE
from transgan.config.plan import Plan
from transgan.data.archives.containers import Folder, open_container
from transgan.data.readers import digits
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
    described = _described_files(config, plan.params.data.mirror)
    digest = hashlib.sha256(files.dumps(described).encode()).hexdigest()
    content = {
        "source": config.source,
        "files": described,
        "digest": digest,
        "fingerprint": plan.fingerprint("fetch", dataset),
    }
    files.write_json(plan.paths.data(dataset) / SOURCE, content)


def _described_files(config: DatasetConfig, mirror: str | None) -> list[dict[str, object]]:
    """Return name, size and SHA-256 of each file of the source."""
    if config.source == "digits":
        size, sha256 = digits.digest()
        return [{"name": "scikit-learn digits", "size": size, "sha256": sha256}]
    if config.source == "folder":
        return [_describe_folder_or_archive(Path(str(config.path)))]
    return _published_files(config.source, config.crop, mirror)


def _published_files(name: str, crop: str, mirror: str | None) -> list[dict[str, object]]:
    """Download missing files of a source in the catalog, several at once, and describe those that `crop` needs.

    One process at a time fetches a source.
    """
    source = CATALOG[name]
    needed = source.files_for(crop)
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
        return [_describe(local, paths[file.name] or local.folder / file.name) for file in needed]


def _describe(local: SourceFiles, path: Path) -> dict[str, object]:
    if path.is_dir():
        return _describe_folder_or_archive(path)
    return {"name": path.name, "size": path.stat().st_size, "sha256": local.digests(path).sha256}


def _describe_folder_or_archive(path: Path) -> dict[str, object]:
    """Describe what a user placed: an archive by its bytes, a folder by its sorted names, sizes and contents."""
    container = open_container(path)
    container.close()
    if not container.names:
        raise UserError(f"{path}: no images in it; correct `path` of the dataset in params.yaml")
    if not isinstance(container, Folder):
        return {"name": path.name, "size": path.stat().st_size, "sha256": files.sha256(path)}
    digest = hashlib.sha256()
    for name, size in zip(container.names, container.sizes, strict=True):
        digest.update(f"{name}\0{size}\0{_content_digest(path / name)}\n".encode())
    return {
        "name": f"{path.name}/",
        "size": sum(container.sizes),
        "sha256": digest.hexdigest(),
        "count": len(container.names),
    }


def _content_digest(path: Path) -> str:
    try:
        return files.sha256(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); fix its permissions or remove it") from error


class _MegabyteCounter:
    """Adds up bytes from several threads and advances a progress bar by whole megabytes."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance, self._bytes, self._lock = advance, 0, threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            before = self._bytes // MEGABYTE
            self._bytes += count
            self._advance(self._bytes // MEGABYTE - before)
