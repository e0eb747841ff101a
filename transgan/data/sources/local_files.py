"""The files of one source on this machine: finds and verifies them, and obtains missing ones.

Downloads go to data/archives/<source>/. What a user places lies in data/incoming/ and is never changed or deleted.
digests.json beside the downloads records the digests of every file, so that a file is read again only when its size or
modification time has changed.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transgan.data.sources import addresses
from transgan.data.sources.catalog import ARCHIVES, INCOMING, RemoteFile, Source, candidate_paths
from transgan.data.sources.download import Digests, Unavailable, download, read_small_file
from transgan.errors import UserError
from transgan.utils import files

logger = logging.getLogger(__name__)

SHA256SUMS = "SHA256SUMS"
REPACKED_SIZE_FACTOR = 4  # a mirror may repack an archive without compression


class SourceFiles:
    """Finds, verifies and obtains the files of a source.

    A file's expected digest is the one in the mirror's SHA256SUMS, else the published one, else that of the first
    download.
    """

    def __init__(self, name: str, mirror: str | None = None) -> None:
        self.name = name
        self.folder = ARCHIVES / name
        self._mirror = mirror
        self._mirror_sums = _mirror_sums(mirror)
        self._record_path = self.folder / "digests.json"
        self._record = _read_record(self._record_path)
        self._record_lock = threading.Lock()

    def expected_digest(self, file: RemoteFile) -> str | None:
        """Return the digest that the file must have, as sha256:... or md5:..., or None before its first download."""
        if file.name in self._mirror_sums:
            return f"sha256:{self._mirror_sums[file.name]}"
        first = self._record.get(str(self.folder / file.name))
        return file.digest or (f"sha256:{first['sha256']}" if first else None)

    def _is_published(self, file: RemoteFile) -> bool:
        """Whether the expected digest is the published one."""
        return file.digest is not None and file.name not in self._mirror_sums

    def _most_bytes(self, file: RemoteFile) -> int:
        """Return how many bytes a download may have: its published size, or far more than the approximate one."""
        return file.size if self._is_published(file) else REPACKED_SIZE_FACTOR * file.size

    def _way_back(self, file: RemoteFile) -> str:
        """Return what to do if a first download was wrong whose digest is now expected; empty for other digests."""
        if self._is_published(file) or file.name in self._mirror_sums or self.expected_digest(file) is None:
            return ""
        return f"; if the first download was wrong, delete {self._record_path}, which holds its digest"

    def find(self, file: RemoteFile) -> Path | None:
        """Return the path of a verified copy of the file, or None when it must be obtained.

        Raises UserError for a copy in data/incoming/ with another digest: a user placed it, and only a user may
        replace it.
        """
        for path in candidate_paths(self.name, file):
            if path.is_dir() or (path.exists() and path.name != file.name):
                return path  # unpacked, or another edition: `prepare` verifies the number of its images
            if not path.exists():
                continue
            if self.digests(path).match(self.expected_digest(file)):
                return path
            difference = f"{path}: is not {file.name} as published ({self.expected_digest(file)})"
            if path.parent == INCOMING:
                raise UserError(f"{difference}; damaged? copy or download it again{self._way_back(file)}")
            logger.warning(f"{difference}; fetched again")
        return None

    def digests(self, path: Path) -> Digests:
        """Return the digests of a file. Uses the record unless the file's size or modification time has changed."""
        stat = path.stat()
        known = self._record.get(str(path))
        if known and known["size"] == stat.st_size and known["mtime_ns"] == stat.st_mtime_ns:
            return Digests(known["sha256"], known["md5"])
        digests = Digests.of(path)
        if not known or known["sha256"] == digests.sha256:
            self._record_digests(path, digests)
        return digests

    def obtain(self, file: RemoteFile, advance: Callable[[int], None]) -> str | None:
        """Copy or download a file to data/archives/, from the mirror or its publisher.

        Returns the reason for a failure, or None.
        """
        target = self.folder / file.name
        urls = list(file.urls)
        if self._mirror is not None and "://" in self._mirror:
            urls.insert(0, addresses.join(self._mirror, file.name))
        elif self._mirror is not None and (copy := Path(self._mirror) / file.name).is_file():
            failure = self._copy_from_mirror(file, copy, target)
            if failure is None or not urls:
                return failure
            logger.warning(f"{failure}; skipped")
        try:
            digests = download(urls, target, self.expected_digest(file), advance, self._most_bytes(file))
        except Unavailable as error:
            return f"{file.name} ({error}{self._way_back(file)})"
        self._record_digests(target, digests)
        return None

    def _copy_from_mirror(self, file: RemoteFile, source: Path, target: Path) -> str | None:
        """Copy a file from a mirror folder. Returns the reason for a failure, or None."""
        digests = Digests.of(source)
        if not digests.match(self.expected_digest(file)):
            expected = self.expected_digest(file)
            return f"{file.name} (the mirror's copy differs: sha256 {digests.sha256}, expected {expected})"
        files.link_or_copy(source, target)
        self._record_digests(target, digests)
        return None

    def _record_digests(self, path: Path, digests: Digests) -> None:
        stat = path.stat()
        with self._record_lock:
            self._record[str(path)] = {
                "size": stat.st_size,
                "mtime_ns": stat.st_mtime_ns,
                "sha256": digests.sha256,
                "md5": digests.md5,
            }
            files.write_json(self._record_path, self._record)


def _read_record(path: Path) -> dict[str, dict[str, Any]]:
    """Return the recorded digests; entries that are damaged are left out, and their files are read again."""
    if not path.exists():
        return {}
    try:
        record = files.read_object(path)
    except UserError as error:
        logger.warning(f"{error}; it is written again")
        return {}
    types = {"size": int, "mtime_ns": int, "sha256": str, "md5": str}
    return {
        name: entry
        for name, entry in record.items()
        if isinstance(entry, dict) and all(isinstance(entry.get(key), kind) for key, kind in types.items())
    }


def manual_download_message(source: Source, failures: list[str], then: str = "run the same command again") -> str:
    """Return one line for a user who must get files: which, why, from where, where to put them, how they are checked.

    `failures` are reasons as `SourceFiles.obtain` returns them. `then` is what the user does next.
    """
    wanted = [file for file in source.files if any(failure.startswith(f"{file.name} (") for failure in failures)]
    checks = "; ".join(f"{' or '.join(file.names)}, checked by {_check(file)}" for file in wanted)
    if source.requires_agreement:
        why = "its publisher asks for your agreement to the terms"
    else:
        why = f"cannot be downloaded: {'; '.join(failures)}"
    return f"{source.title}: {why}. Get it from {source.homepage} and place in {INCOMING}/: {checks}. Then {then}"


def _check(file: RemoteFile) -> str:
    return file.digest.replace(":", " ") if file.digest else "its number of images"


def _mirror_sums(mirror: str | None) -> dict[str, str]:
    """Return {file name: SHA-256} of the mirror's SHA256SUMS, which a lab writes if it repacked the archives.

    Empty when there is none.
    """
    if mirror is None:
        return {}
    if "://" in mirror:
        content = read_small_file(addresses.join(mirror, SHA256SUMS))
    elif not Path(mirror).is_dir():
        raise UserError(f"params.yaml: data.mirror: {mirror} is neither a URL nor an existing folder")
    else:
        content = (Path(mirror) / SHA256SUMS).read_bytes() if (Path(mirror) / SHA256SUMS).exists() else None
    pairs = [line.split(maxsplit=1) for line in (content or b"").decode("utf-8", "replace").splitlines()]
    return {pair[1].lstrip("*"): pair[0].lower() for pair in pairs if len(pair) == 2}
