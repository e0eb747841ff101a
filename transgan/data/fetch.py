"""The stage fetch: what a dataset is made from is on this machine, and source.json says exactly what it is."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from transgan.config.plan import Plan
from transgan.data.archives.containers import Folder, open_container
from transgan.data.readers import digits
from transgan.data.sources.catalog import CATALOG
from transgan.data.sources.local_files import SourceFiles, manual_download_message
from transgan.errors import UserError
from transgan.schema import DatasetConfig
from transgan.utils import files
from transgan.utils.console import progress

SOURCE = "source.json"
PARALLEL = 4
MEGABYTE = 1_000_000


def fetch(plan: Plan, dataset: str) -> None:
    """See to it that the source of `dataset` is here, and write source.json: names, sizes and digests, and one digest of them all.

    Raises UserError when it is missing and cannot be had, or is not what its publisher says it is.
    """
    config = plan.dataset(dataset)
    found = _found(config, plan.params.data.mirror)
    digest = hashlib.sha256(files.dumps(found).encode()).hexdigest()
    content = {
        "source": config.source,
        "files": found,
        "digest": digest,
        "fingerprint": plan.fingerprint("fetch", dataset),
    }
    files.write_json(plan.paths.data(dataset) / SOURCE, content)


def _found(config: DatasetConfig, mirror: str | None) -> list[dict[str, object]]:
    if config.source == "digits":
        size, sha256 = digits.digest()
        return [{"name": "scikit-learn digits", "size": size, "sha256": sha256}]
    if config.source == "folder":
        return [_placed(Path(str(config.path)))]
    return _published(config.source, mirror)


def _published(name: str, mirror: str | None) -> list[dict[str, object]]:
    """Files of a catalogued source, downloaded where they are missing: one process at a time, several files at once."""
    source = CATALOG[name]
    archives = SourceFiles(name, mirror)
    with files.lock(archives.folder / ".lock", f"fetch {name}", wait=True):
        archives = SourceFiles(name, mirror)  # read again: another process may have fetched while this one waited
        places = {file.name: archives.right(file) for file in source.files}
        missing = [file for file in source.files if places[file.name] is None]
        if missing:
            total = sum(file.approximate_bytes for file in missing) // MEGABYTE
            with progress(f"fetch {name}", max(total, 1), "MB") as bar, ThreadPoolExecutor(PARALLEL) as pool:
                count = _Megabytes(bar.advance).add
                failures = [answer for answer in pool.map(lambda file: archives.obtain(file, count), missing) if answer]
            if failures:
                raise UserError(manual_download_message(source, failures))
        return [
            _description(archives, file.name, places[file.name] or archives.folder / file.name) for file in source.files
        ]


def _description(archives: SourceFiles, name: str, path: Path) -> dict[str, object]:
    if path.is_dir():
        return _placed(path)
    return {"name": path.name, "size": path.stat().st_size, "sha256": archives.digests(path).sha256}


def _placed(path: Path) -> dict[str, object]:
    """Size and digest of a folder (over sorted names, sizes and contents) or of an archive that a person placed."""
    container = open_container(path)
    container.close()
    if not container.names:
        raise UserError(f"{path}: no pictures in it; correct `path` of the dataset in params.yaml")
    if not isinstance(container, Folder):
        return {"name": path.name, "size": path.stat().st_size, "sha256": files.sha256(path)}
    tree = hashlib.sha256()
    for name, size in zip(container.names, container.sizes, strict=True):
        tree.update(f"{name}\0{size}\0{_content_digest(path / name)}\n".encode())
    return {
        "name": f"{path.name}/",
        "size": sum(container.sizes),
        "sha256": tree.hexdigest(),
        "count": len(container.names),
    }


def _content_digest(path: Path) -> str:
    try:
        return files.sha256(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); mend its permissions or remove it") from error


class _Megabytes:
    """Counts bytes from several threads and tells progress whole megabytes."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance, self._bytes, self._lock = advance, 0, threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            before = self._bytes // MEGABYTE
            self._bytes += count
            self._advance(self._bytes // MEGABYTE - before)
