"""A folder, a zip or a tar, seen alike: a list of files, and their contents streamed in that order without unpacking to disk."""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from transgan.data.archives import checks
from transgan.data.archives.byte_ranges import ByteRange, broken
from transgan.errors import UserError

DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
BLOCK = 512
MAX_KEPT = 512 * 2**20  # bytes of members held in memory


class Container(ABC):
    """Files of a folder or archive. `names` are relative, with /, in the order in which they stream best; `sizes` are in bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []
        self.sizes: list[int] = []

    @abstractmethod
    def contents(self, wanted: Sequence[int]) -> Iterator[bytes | Path]:
        """Contents (or paths) of the files with the indices `wanted`, which ascend. UserError when the archive is damaged."""

    def byte_ranges(self, wanted: Sequence[int]) -> Iterator[bytes | Path | ByteRange]:
        """The same as `contents`, but where members are stored as they are, it says where: others read them, in parallel."""
        return self.contents(wanted)

    def close(self) -> None:  # noqa: B027  (a folder has none)
        """Let go of open files."""


class Folder(Container):
    """A folder. Links to files and folders are followed, each folder once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        found = sorted(_walk(path, "", set()))
        self.names = [name for name, _ in found]
        self.sizes = [size for _, size in found]

    def contents(self, wanted: Sequence[int]) -> Iterator[Path]:
        """Paths: whoever decodes them reads them, in parallel."""
        for index in wanted:
            yield self.path / self.names[index]


class Zip(Container):
    """A zip archive."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with damaged(path):
            self._file = zipfile.ZipFile(path)
        for info in self._file.infolist():
            checks.check_zip_member(path, info)
        self._infos = [
            info for info in self._file.infolist() if not info.is_dir() and not checks.is_junk(info.filename)
        ]
        self._infos.sort(key=lambda info: info.header_offset)
        self.names = [info.filename for info in self._infos]
        self.sizes = [info.file_size for info in self._infos]

    def contents(self, wanted: Sequence[int]) -> Iterator[bytes]:
        """Unpacked members, checked by their checksums."""
        for index in wanted:
            yield self._read(self._infos[index])

    def byte_ranges(self, wanted: Sequence[int]) -> Iterator[bytes | ByteRange]:
        """Where members are that are not compressed, as pictures mostly are not; the others unpacked."""
        for info in (self._infos[index] for index in wanted):
            if info.compress_type == zipfile.ZIP_STORED:
                yield ByteRange(self.path, info.header_offset, info.file_size, info.CRC, zipped=True)
            else:
                yield self._read(info)

    def _read(self, info: zipfile.ZipInfo) -> bytes:
        with damaged(self.path):
            return self._file.read(info)

    def close(self) -> None:
        """Close the archive."""
        self._file.close()


class Tar(Container):
    """A tar archive, plain (members are read where they lie) or compressed (read through from the start)."""

    def __init__(self, path: Path, limit: int = checks.MAX_MEMBER_BYTES, keep: tuple[str, ...] = ()) -> None:
        """`limit`: most bytes of a member; `keep`: contents of members whose names end so are read at once into `kept`."""
        super().__init__(path)
        self.kept: dict[str, bytes] = {}
        self._offsets: list[int] = []
        self._open = _opener(path)
        end = 0
        with damaged(path), tarfile.open(path) as archive:
            while member := archive.next():
                archive.members.clear()  # type: ignore[attr-defined] # it would keep a kilobyte of each
                checks.check_tar_member(path, member, limit)
                end = member.offset_data + -(-member.size // BLOCK) * BLOCK
                if member.isdir() or checks.is_junk(member.name):
                    continue
                if member.name.endswith(keep or "\0"):
                    checks.check_size(path, member.name, member.size + sum(map(len, self.kept.values())), MAX_KEPT)
                    file = archive.extractfile(member)
                    self.kept[member.name] = file.read() if file else b""
                self.names.append(member.name.removeprefix("./"))
                self.sizes.append(member.size)
                self._offsets.append(member.offset_data)
        if self._open is _plain:
            self._check_end(end)

    def _check_end(self, end: int) -> None:
        """tarfile takes a plain tar that breaks off for a shorter one, but a whole one ends in a block of zeros."""
        with self.path.open("rb") as file:
            file.seek(end)
            if file.read(BLOCK) != bytes(BLOCK):
                raise broken(self.path, "it breaks off before its end")

    def contents(self, wanted: Sequence[int]) -> Iterator[bytes]:
        """Members, in the archive's own order."""
        with self._open(self.path) as file:
            for index in wanted:
                yield self._read(file, self._offsets[index], self.sizes[index])

    def byte_ranges(self, wanted: Sequence[int]) -> Iterator[bytes | ByteRange]:
        """Where the members of a plain tar are; those of a compressed one read."""
        if self._open is not _plain:
            return self.contents(wanted)
        return (ByteRange(self.path, self._offsets[index], self.sizes[index]) for index in wanted)

    def stream(self, index: int, start: int, chunk: int) -> Iterator[bytes]:
        """One member from byte `start` on, `chunk` bytes at a time."""
        with self._open(self.path) as file:
            for position in range(start, self.sizes[index], chunk):
                yield self._read(file, self._offsets[index] + position, min(chunk, self.sizes[index] - position))

    def _read(self, file: IO[bytes], offset: int, size: int) -> bytes:
        with damaged(self.path):
            file.seek(offset)  # in a compressed file a seek forward reads through
            content = file.read(size)
        if len(content) < size:
            raise broken(self.path, "it breaks off before its end")
        return content


def open_container(path: Path) -> Container:
    """The folder or archive at `path`; UserError when there is none, or when its kind is not known."""
    name = path.name.lower()
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise UserError(f"{path}: not there; correct `path` of the dataset in params.yaml")
    if name.endswith(ZIP_SUFFIXES):
        return Zip(path)
    if name.endswith(TAR_SUFFIXES):
        return Tar(path)
    raise UserError(f"{path}: must be a folder, a .zip or a .tar (plain, .gz, .bz2 or .xz)")


@contextmanager
def damaged(path: Path) -> Iterator[None]:
    """Turn what the archive libraries raise on a broken archive into one line."""
    try:
        yield
    except DAMAGE as error:
        raise broken(path, " ".join(str(error).split()) or type(error).__name__) from error


def _opener(path: Path) -> Callable[[Path], IO[bytes]]:
    """How to open a tar for reading its uncompressed bytes, told by its first bytes."""
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return lambda path: gzip.open(path, "rb")  # type: ignore[return-value]
    if magic.startswith(b"BZh"):
        return lambda path: bz2.open(path, "rb")
    if magic.startswith(b"\xfd7zXZ"):
        return lambda path: lzma.open(path, "rb")
    return _plain


def _plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _walk(folder: Path, prefix: str, seen: set[Path]) -> Iterator[tuple[str, int]]:
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    for path in folder.iterdir():
        name = prefix + path.name
        if checks.is_junk(path.name):
            continue
        if path.is_dir():
            yield from _walk(path, f"{name}/", seen)
        else:
            yield name, path.stat().st_size if path.exists() else 0
