"""Folders, zips and tars behind one interface: a list of files, and their contents, streamed and never unpacked."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from transgan.data.archives import checks
from transgan.data.archives.byte_ranges import ByteRange, damaged_archive
from transgan.data.archives.leftovers import LeftOut
from transgan.data.image_formats import HEAD_BYTES
from transgan.data.unread_containers import KINDS_READ, describe_unread
from transgan.errors import UserError

ARCHIVE_ERRORS = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
ZIP_SUFFIXES = (".zip",)
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
TAR_BLOCK = 512
MAX_HEADER_BYTES = 2**20  # of a long name or of pax records
READ_BYTES = 2**20
MAX_TRAILING_BYTES = 64 * 2**20  # after the last member; writers pad to a few kilobytes
MAX_PRELOADED_BYTES = 512 * 2**20  # of all members that a tar loads into memory


class Container(ABC):
    """The files of a folder or an archive, in the order in which they stream fastest.

    `names` are relative paths with forward slashes; `sizes` are in bytes. `left_out` has the leftovers of operating
    systems and tools, and unfinished downloads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []
        self.left_out = LeftOut()
        self.sizes: list[int] = []

    @abstractmethod
    def contents(self, wanted: Sequence[int]) -> Iterator[bytes | Path]:
        """Yield the content of each file in `wanted`, or its path in a folder.

        `wanted` holds ascending indices into `names`. Raises UserError when the archive is damaged.
        """

    def byte_ranges(self, wanted: Sequence[int]) -> Iterator[bytes | Path | ByteRange]:
        """Like `contents`, but yields ByteRanges for uncompressed members, so that workers can read in parallel."""
        return self.contents(wanted)

    @abstractmethod
    def beginnings(self, wanted: Sequence[int]) -> Iterator[bytes]:
        """Yield the first HEAD_BYTES of each file in `wanted`, as `contents` does."""

    def close(self) -> None:  # noqa: B027  (a folder holds none open)
        """Close open files."""


class Folder(Container):
    """A folder. Follows links to files and folders, and visits each folder once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        listing = sorted(self._walk(path, "", set()))
        self.names = [name for name, _ in listing]
        self.sizes = [size for _, size in listing]

    def _walk(self, folder: Path, prefix: str, seen: set[Path]) -> Iterator[tuple[str, int]]:
        """Yield the name and size of every file below `folder`. Pipes and devices are none."""
        real = folder.resolve()
        if real in seen:
            return
        seen.add(real)
        try:
            paths = list(folder.iterdir())
        except OSError as error:
            raise UserError(f"{folder}: cannot be read ({error.strerror}); fix its permissions or remove it") from error
        for path in paths:
            name = prefix + path.name
            if self.left_out.takes(name, path.is_dir()):
                continue
            if path.is_dir():
                yield from self._walk(path, f"{name}/", seen)
            elif path.is_file():
                yield name, path.stat().st_size
            elif path.is_symlink() and not path.exists():
                yield name, 0  # reported when it is read

    def contents(self, wanted: Sequence[int]) -> Iterator[Path]:
        """Yield paths. Workers read the files when they decode them, in parallel."""
        for index in wanted:
            yield self.path / self.names[index]

    def beginnings(self, wanted: Sequence[int]) -> Iterator[bytes]:
        """Read the beginning of each file; of one that cannot be read, it is empty."""
        for index in wanted:
            try:
                with (self.path / self.names[index]).open("rb") as file:
                    yield file.read(HEAD_BYTES)
            except OSError:
                yield b""


class Zip(Container):
    """A zip archive."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with user_error_on_damage(path):
            self._file = zipfile.ZipFile(path)
        for info in self._file.infolist():
            checks.check_zip_member(path, info)
        files = [info for info in self._file.infolist() if not info.is_dir()]
        self._infos = [info for info in files if not self.left_out.takes(info.filename)]
        self._infos.sort(key=lambda info: info.header_offset)
        self.names = [info.filename for info in self._infos]
        self.sizes = [info.file_size for info in self._infos]

    def contents(self, wanted: Sequence[int]) -> Iterator[bytes]:
        """Yield unpacked members. zipfile verifies their checksums."""
        for index in wanted:
            yield self._read(self._infos[index])

    def byte_ranges(self, wanted: Sequence[int]) -> Iterator[bytes | ByteRange]:
        """Yield byte ranges of uncompressed members, which most images are, and unpack the others."""
        for info in (self._infos[index] for index in wanted):
            if info.compress_type == zipfile.ZIP_STORED:
                yield ByteRange(self.path, info.header_offset, info.file_size, info.CRC, after_zip_header=True)
            else:
                yield self._read(info)

    def beginnings(self, wanted: Sequence[int]) -> Iterator[bytes]:
        """Unpack the beginning of each member."""
        for index in wanted:
            with user_error_on_damage(self.path), self._file.open(self._infos[index]) as file:
                yield file.read(HEAD_BYTES)

    def _read(self, info: zipfile.ZipInfo) -> bytes:
        with user_error_on_damage(self.path):
            return self._file.read(info)

    def close(self) -> None:
        """Close the archive."""
        self._file.close()


class Tar(Container):
    """A tar archive. A plain one gives access to every member; a compressed one is read from its start."""

    def __init__(
        self,
        path: Path,
        limit: int = checks.MAX_MEMBER_BYTES,
        preload: tuple[str, ...] = (),
        section: tuple[int, int] | None = None,
    ) -> None:
        """List the members. Refuses any of more than `limit` bytes, except tars in a plain tar.

        Members whose names end with one of `preload` are loaded into memory at once, as `preloaded[name]`. `section`
        is (first byte, number of bytes) of a tar in another file.
        """
        super().__init__(path)
        self._start, length = section or (0, path.stat().st_size)
        self._bounds = (self._start, length)
        self.preloaded: dict[str, bytes] = {}
        self._offsets: list[int] = []
        self._unpack = _decompressor(path, self._start)
        end = 0
        with (
            user_error_on_damage(path),
            self._open() as stream,
            tarfile.open(fileobj=stream, mode="r:", tarinfo=_BoundedTarInfo, encoding="utf-8") as archive,
        ):
            while member := archive.next():
                archive.members.clear()  # type: ignore[attr-defined] # tarfile would hold a kilobyte for each
                inner = self._unpack is None and member.name.lower().endswith(TAR_SUFFIXES)
                checks.check_tar_member(path, member, length if inner else limit)
                end = member.offset_data + -(-member.size // TAR_BLOCK) * TAR_BLOCK
                if self._unpack is None and end > length:
                    raise damaged_archive(path, "it ends too early")
                if member.isdir():
                    continue
                if self.left_out.takes(member.name):
                    continue
                if member.name.endswith(preload or "\0"):
                    total = member.size + sum(map(len, self.preloaded.values()))
                    checks.check_size(path, member.name, total, MAX_PRELOADED_BYTES)
                    file = archive.extractfile(member)
                    self.preloaded[member.name] = file.read() if file else b""
                self.names.append(member.name.removeprefix("./"))
                self.sizes.append(member.size)
                self._offsets.append(member.offset_data)
            if _read_to_end(path, stream) < end + TAR_BLOCK:
                raise damaged_archive(path, "it ends too early")
        if self._unpack is None:
            self._check_end(end)

    @property
    def sections(self) -> list[tuple[int, int]] | None:
        """(first byte, number of bytes) of each member in the file; None where the tar is compressed."""
        if self._unpack is not None:
            return None
        return [(self._start + offset, size) for offset, size in zip(self._offsets, self.sizes, strict=True)]

    def _open(self) -> IO[bytes]:
        """Open the uncompressed bytes of the tar."""
        file = cast(IO[bytes], io.BufferedReader(_Section(self.path, *self._bounds)))
        return file if self._unpack is None else self._unpack(file)

    def _check_end(self, end: int) -> None:
        """Raise UserError when a plain tar is cut off between two members, which tarfile does not notice.

        A complete tar ends with a block of zeros.
        """
        with self._open() as file:
            file.seek(end)
            if file.read(TAR_BLOCK) != bytes(TAR_BLOCK):
                raise damaged_archive(self.path, "it ends too early")

    def contents(self, wanted: Sequence[int]) -> Iterator[bytes]:
        """Yield members in the archive's order."""
        with self._open() as file:
            for index in wanted:
                yield self._read(file, self._offsets[index], self.sizes[index])

    def byte_ranges(self, wanted: Sequence[int]) -> Iterator[bytes | ByteRange]:
        """Yield byte ranges in a plain tar, contents in a compressed one."""
        if self._unpack is not None:
            return self.contents(wanted)
        return (ByteRange(self.path, self._start + self._offsets[index], self.sizes[index]) for index in wanted)

    def beginnings(self, wanted: Sequence[int]) -> Iterator[bytes]:
        """Read the beginning of each member."""
        with self._open() as file:
            for index in wanted:
                yield self._read(file, self._offsets[index], min(self.sizes[index], HEAD_BYTES))

    def stream(self, index: int, start: int, chunk: int) -> Iterator[bytes]:
        """Yield one member from byte `start` on, in chunks of `chunk` bytes."""
        with self._open() as file:
            for position in range(start, self.sizes[index], chunk):
                yield self._read(file, self._offsets[index] + position, min(chunk, self.sizes[index] - position))

    def _read(self, file: IO[bytes], offset: int, size: int) -> bytes:
        with user_error_on_damage(self.path):
            file.seek(offset)  # in a compressed file, this decompresses up to `offset`
            content = file.read(size)
        if len(content) < size:
            raise damaged_archive(self.path, "it ends too early")
        return content


class _BoundedTarInfo(tarfile.TarInfo):
    """A member whose headers are checked before tarfile reads them into memory: long names and pax records."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """Read a member; tarfile documents this method as the one to override."""
        if self.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) and self.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]


def open_container(path: Path) -> Container:
    """Open the folder or archive at `path`. Raises UserError when it is missing or of an unknown kind."""
    name = path.name.lower()
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise UserError(f"{path}: not there; correct `path` of the dataset in params.yaml")
    if name.endswith(ZIP_SUFFIXES):
        return Zip(path)
    if name.endswith(TAR_SUFFIXES):
        return Tar(path)
    with path.open("rb") as file:
        unread = describe_unread(path.name, file.read(HEAD_BYTES))
    if unread is None:
        raise UserError(f"{path}: must be {KINDS_READ}")
    what, advice = unread
    raise UserError(f"{path}: {what}, which is not read; {advice}. A source must be {KINDS_READ}")


@contextmanager
def user_error_on_damage(path: Path) -> Iterator[None]:
    """Turn the errors that archive libraries raise for a damaged archive into one UserError."""
    try:
        yield
    except ARCHIVE_ERRORS as error:
        raise damaged_archive(path, " ".join(str(error).split()) or type(error).__name__) from error


def _read_to_end(path: Path, stream: IO[bytes]) -> int:
    """Read the zeros that follow the last member, and return the position of their end.

    A compressed stream compares its checksum there. Raises UserError when something else follows.
    """
    start = stream.tell()
    while chunk := stream.read(READ_BYTES):
        if chunk.strip(b"\0"):
            raise damaged_archive(path, "more follows its end, as where archives were joined")
        if stream.tell() - start > MAX_TRAILING_BYTES:
            raise damaged_archive(path, f"more than {MAX_TRAILING_BYTES:,} bytes follow its end")
    return stream.tell()


def _decompressor(path: Path, start: int) -> Callable[[IO[bytes]], IO[bytes]] | None:
    """Return what opens the uncompressed bytes of a tar; None for a plain one. The first bytes tell the compression."""
    with path.open("rb") as file:
        file.seek(start)
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return _gunzip
    if magic.startswith(b"BZh"):
        return bz2.open
    return lzma.open if magic.startswith(b"\xfd7zXZ") else None


def _gunzip(file: IO[bytes]) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file, "rb"))


class _Section(io.RawIOBase):
    """`size` bytes of a file from byte `start` on."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = path.open("rb", buffering=0), start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = max(min(len(buffer), self._size - self._at), 0)
        content = os.pread(self._file.fileno(), count, self._start + self._at)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()
