"""Pictures that lie in an archive as they are: where, and how the workers of packing read them, side by side, without the archive's library."""

import os
import struct
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

from transgan.data.transforms import Picture
from transgan.errors import UserError

ZIP_MAGIC, ZIP_HEADER = (
    b"PK\x03\x04",
    struct.Struct("<26xHH"),
)  # of a member; it ends with the lengths of its name and of the field after it
USUAL_NAMES = 256  # bytes of both; where they are longer, a second read fetches the rest


class ByteRange(NamedTuple):
    """A picture in an archive: `size` bytes that begin at byte `offset` or, with `zipped`, behind the member's header that begins there.

    `crc32`: the checksum that the archive gives for them, if any.
    """

    path: Path
    offset: int
    size: int
    crc32: int | None = None
    zipped: bool = False


Content = Picture | ByteRange  # what a reader gives


class ByteRangeReader:
    """Reads pieces; it opens an archive once, and closes it when its context ends."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            for descriptor in self._descriptors.values():
                stack.callback(os.close, descriptor)
        self._descriptors.clear()

    def read(self, piece: ByteRange) -> bytes:
        """The encoded picture. Raises UserError when the archive is damaged."""
        try:
            if piece.path not in self._descriptors:
                self._descriptors[piece.path] = os.open(piece.path, os.O_RDONLY)
            descriptor = self._descriptors[piece.path]
            content = _zip_member(descriptor, piece) if piece.zipped else os.pread(descriptor, piece.size, piece.offset)
        except OSError as error:
            raise broken(piece.path, error.strerror or str(error)) from error
        if len(content) < piece.size:
            raise broken(piece.path, "it breaks off before its end")
        if piece.crc32 is not None and zlib.crc32(content) != piece.crc32:
            raise broken(piece.path, f"wrong checksum of the picture at byte {piece.offset:,}")
        return content


def broken(archive: Path, reason: str) -> UserError:
    """What to say of an archive that is damaged."""
    return UserError(f"{archive}: damaged or truncated ({reason}); delete it and fetch or copy it again")


def _zip_member(descriptor: int, piece: ByteRange) -> bytes:
    """Its bytes, read together with its header."""
    found = os.pread(descriptor, ZIP_HEADER.size + USUAL_NAMES + piece.size, piece.offset)
    if len(found) < ZIP_HEADER.size or not found.startswith(ZIP_MAGIC):
        raise broken(piece.path, f"no picture's header at byte {piece.offset:,}")
    names = sum(ZIP_HEADER.unpack_from(found))
    start = ZIP_HEADER.size + names
    if names > USUAL_NAMES:
        return os.pread(descriptor, piece.size, piece.offset + start)
    return found[start : start + piece.size]
