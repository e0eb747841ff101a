"""Byte ranges of images that an archive stores uncompressed.

The process that lists the archive yields a `ByteRange` for each image. Worker processes read the ranges in parallel,
with `ByteRangeReader` and without the archive's library.
"""

import os
import struct
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

from transgan.data.transforms import ImageInput
from transgan.errors import UserError

# The local header of a zip member: 30 bytes that start with the magic number and end with the lengths of the two fields
# after it, the member's name and its extra field.
ZIP_MAGIC = b"PK\x03\x04"
ZIP_HEADER = struct.Struct("<26xHH")
USUAL_FIELDS_BYTES = 256  # of name and extra field; where they are longer, the image takes a second read


class ByteRange(NamedTuple):
    """An encoded image in an archive: `size` bytes from byte `offset` on.

    With `after_zip_header`, a zip member's local header starts at `offset` and the image follows it. `crc32` is the
    checksum that the archive holds for the image, if any.
    """

    path: Path
    offset: int
    size: int
    crc32: int | None = None
    after_zip_header: bool = False


Content = ImageInput | ByteRange  # what a dataset's reader yields for an image


class ByteRangeReader:
    """Reads byte ranges. Opens each archive once and closes all of them when its context ends."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            for descriptor in self._descriptors.values():
                stack.callback(os.close, descriptor)
        self._descriptors.clear()

    def read(self, span: ByteRange) -> bytes:
        """Return the encoded image. Raises UserError when the archive is damaged."""
        try:
            if span.path not in self._descriptors:
                self._descriptors[span.path] = os.open(span.path, os.O_RDONLY)
            descriptor = self._descriptors[span.path]
            if span.after_zip_header:
                content = _read_zip_member(descriptor, span)
            else:
                content = os.pread(descriptor, span.size, span.offset)
        except OSError as error:
            raise damaged_archive(span.path, error.strerror or str(error)) from error
        if len(content) < span.size:
            raise damaged_archive(span.path, "it ends too early")
        if span.crc32 is not None and zlib.crc32(content) != span.crc32:
            raise damaged_archive(span.path, f"wrong checksum of the image at byte {span.offset:,}")
        return content


def damaged_archive(archive: Path, reason: str) -> UserError:
    """Return the error to raise for a damaged archive."""
    return UserError(f"{archive}: damaged or truncated ({reason}); delete it and fetch or copy it again")


def _read_zip_member(descriptor: int, span: ByteRange) -> bytes:
    """Return the member's content, read together with its local header."""
    block = os.pread(descriptor, ZIP_HEADER.size + USUAL_FIELDS_BYTES + span.size, span.offset)
    if len(block) < ZIP_HEADER.size or not block.startswith(ZIP_MAGIC):
        raise damaged_archive(span.path, f"no zip member's header at byte {span.offset:,}")
    fields = sum(ZIP_HEADER.unpack_from(block))
    start = ZIP_HEADER.size + fields
    if fields > USUAL_FIELDS_BYTES:
        return os.pread(descriptor, span.size, span.offset + start)
    return block[start : start + span.size]
