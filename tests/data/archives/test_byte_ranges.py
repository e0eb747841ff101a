"""Uncompressed members of archives are read by byte range, with the same content."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from tests.data.sample_archives import tar_bytes
from transgan.data.archives.byte_ranges import ByteRange, ByteRangeReader
from transgan.data.archives.containers import Container, open_container
from transgan.errors import UserError

MEMBERS = {f"some/{'x' * i}{i}.jpg": os.urandom(100 * i) for i in range(6)}


def mixed_zip() -> bytes:
    """Return a zip of stored and compressed members, with a prefix that is no zip, and extra fields in some headers."""
    buffer = io.BytesIO()
    buffer.write(b"#!/bin/sh\n")
    with zipfile.ZipFile(buffer, "a") as archive:
        for i, (name, content) in enumerate(MEMBERS.items()):
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED if i % 3 == 0 else zipfile.ZIP_STORED
            info.extra = (b"\x99\x99\x04\x00abcd" if i % 2 else b"") * (99 if i == 1 else 1)
            archive.writestr(info, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "ranges"),
    [("a.zip", mixed_zip(), 4), ("a.tar", tar_bytes(MEMBERS, "w"), 6), ("a.tgz", tar_bytes(MEMBERS, "w:gz"), 0)],
)
def test_byte_ranges_give_the_same_content(tmp_path: Path, name: str, content: bytes, ranges: int) -> None:
    (tmp_path / name).write_bytes(content)
    archive = open_container(tmp_path / name)
    wanted = [0, 1, 2, 4, 5]
    deferred = list(archive.byte_ranges(wanted))
    assert sum(isinstance(each, ByteRange) for each in archive.byte_ranges(range(6))) == ranges
    expected = [MEMBERS[archive.names[index]] for index in wanted]
    assert [read(each) for each in deferred] == list(archive.contents(wanted)) == expected


def read(content: bytes | Path | ByteRange) -> bytes:
    if isinstance(content, Path):
        return content.read_bytes()
    with ByteRangeReader() as reader:
        return reader.read(content) if isinstance(content, ByteRange) else content


def zip_of(path: Path) -> Container:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", bytes(range(200)))
    return open_container(path)


@pytest.mark.parametrize(
    ("at", "message"), [(2, "no zip member's header at byte 0"), (100, "wrong checksum of the image at byte 0")]
)
def test_damage_to_a_stored_member_is_reported(tmp_path: Path, at: int, message: str) -> None:
    archive = zip_of(tmp_path / "a.zip")
    with (tmp_path / "a.zip").open("rb+") as file:
        file.seek(at)
        file.write(b"\xff")
    with pytest.raises(UserError, match=rf"a\.zip: damaged or truncated \({message}\)"):
        read(next(iter(archive.byte_ranges([0]))))


def test_an_archive_truncated_or_deleted_after_listing(tmp_path: Path) -> None:
    span = next(iter(zip_of(tmp_path / "a.zip").byte_ranges([0])))
    os.truncate(tmp_path / "a.zip", 100)
    with pytest.raises(UserError, match="ends too early"):
        read(span)
    (tmp_path / "a.zip").unlink()
    with pytest.raises(UserError, match="No such file"):
        read(span)
