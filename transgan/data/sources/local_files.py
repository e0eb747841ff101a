"""The files of one catalogued source on this machine: which are here and right, and how a missing one is obtained.

Downloads lie in data/archives/<source>/, what a person placed in data/incoming/ (never changed or deleted). digests.json beside the downloads
remembers what each file was found to be, so that it is read again only when its size or time has changed.
"""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from transgan.data.sources.catalog import ARCHIVES, INCOMING, RemoteFile, Source, places
from transgan.data.sources.download import Digests, Unavailable, download, read_small
from transgan.errors import UserError
from transgan.utils import files

logger = logging.getLogger(__name__)


SUMS = "SHA256SUMS"


class SourceFiles:
    """A source's files, judged by the mirror's SHA256SUMS if there is one, else by published digests, else by the first fetch's."""

    def __init__(self, name: str, mirror: str | None = None) -> None:
        self.name = name
        self.folder = ARCHIVES / name
        self._mirror = mirror
        self._sums = _mirror_sums(mirror)
        self._record_path = self.folder / "digests.json"
        self._record: dict[str, dict[str, Any]] = (
            files.read_json(self._record_path) if self._record_path.exists() else {}
        )
        self._writing = threading.Lock()

    def expected(self, file: RemoteFile) -> str | None:
        """What a file's content must be, as sha256:... or md5:...; None when nothing is known yet."""
        if file.name in self._sums:
            return f"sha256:{self._sums[file.name]}"
        first = self._record.get(str(self.folder / file.name))
        return file.digest or (f"sha256:{first['sha256']}" if first else None)

    def right(self, file: RemoteFile) -> Path | None:
        """Where a file lies whose content is right; None when it must be obtained.

        Raises UserError for one in data/incoming/ that is not what it should be: a person placed it, a person must know.
        """
        for place in places(self.name, file):
            if place.is_dir() or (place.exists() and place.name != file.name):
                return place  # unpacked, or another edition: judged by its number of pictures
            if not place.exists():
                continue
            if self.digests(place).agree(self.expected(file)):
                return place
            if place.parent == INCOMING:
                raise UserError(
                    f"{place}: is not {file.name} as published ({self.expected(file)}); damaged? copy or download it again"
                )
            logger.warning(f"{place}: is not {file.name} as published ({self.expected(file)}); fetched again")
        return None

    def digests(self, path: Path) -> Digests:
        """Digests of a file, from the record when neither its size nor its time has changed since."""
        stat = path.stat()
        known = self._record.get(str(path))
        if known and known["size"] == stat.st_size and known["mtime_ns"] == stat.st_mtime_ns:
            return Digests(known["sha256"], known["md5"])
        found = Digests.of(path)
        return self._remember(path, found) if not known or known["sha256"] == found.sha256 else found

    def obtain(self, file: RemoteFile, advance: Callable[[int], None]) -> str | None:
        """Bring a file into data/archives/, from the mirror or its publisher; returns why that failed, None when it is there."""
        target = self.folder / file.name
        urls = list(file.urls)
        if self._mirror is not None and "://" in self._mirror:
            urls.insert(0, f"{self._mirror.rstrip('/')}/{quote(file.name)}")
        elif self._mirror is not None and (copy := Path(self._mirror) / file.name).is_file():
            wrong = self._copy(file, copy, target)
            if wrong is None or not urls:
                return wrong
            logger.warning(f"{wrong}; passed over")
        try:
            digests = download(urls, target, self.expected(file), advance)
        except Unavailable as failure:
            return f"{file.name} ({failure})"
        self._remember(target, digests)
        return None

    def _copy(self, file: RemoteFile, source: Path, target: Path) -> str | None:
        digests = Digests.of(source)
        if not digests.agree(self.expected(file)):
            return f"{file.name} (the mirror's is another content: sha256 {digests.sha256}, expected {self.expected(file)})"
        files.link_or_copy(source, target)
        self._remember(target, digests)
        return None

    def _remember(self, path: Path, digests: Digests) -> Digests:
        stat = path.stat()
        with self._writing:
            self._record[str(path)] = {
                "size": stat.st_size,
                "mtime_ns": stat.st_mtime_ns,
                "sha256": digests.sha256,
                "md5": digests.md5,
            }
            files.write_json(self._record_path, self._record)
        return digests


def manual_download_message(source: Source, failures: list[str], then: str = "run the same command again") -> str:
    """One line for the person who must get the files: which, from where, where to put them, how they are checked, and what `then`."""
    wanted = [file for file in source.files if any(failure.startswith(f"{file.name} (") for failure in failures)]
    checks = "; ".join(f"{' or '.join(file.names)}, checked by {_check(file)}" for file in wanted)
    why = (
        "its publisher asks for your agreement to the terms"
        if source.requires_agreement
        else f"cannot be downloaded: {'; '.join(failures)}"
    )
    return f"{source.title}: {why}. Get it from {source.home} and place in {INCOMING}/: {checks}. Then {then}"


def _check(file: RemoteFile) -> str:
    return file.digest.replace(":", " ") if file.digest else "its number of pictures"


def _mirror_sums(mirror: str | None) -> dict[str, str]:
    """{file name: sha256} of the mirror's own SHA256SUMS, if it has one (a lab may have packed its copies anew)."""
    if mirror is None:
        return {}
    if "://" in mirror:
        content = read_small(f"{mirror.rstrip('/')}/{SUMS}")
    elif not Path(mirror).is_dir():
        raise UserError(f"params.yaml: data.mirror: {mirror} is neither a URL nor a folder that is there")
    else:
        content = (Path(mirror) / SUMS).read_bytes() if (Path(mirror) / SUMS).exists() else None
    pairs = [line.split(maxsplit=1) for line in (content or b"").decode("utf-8", "replace").splitlines()]
    return {pair[1].lstrip("*"): pair[0].lower() for pair in pairs if len(pair) == 2}
