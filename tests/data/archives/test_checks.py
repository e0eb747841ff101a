"""Hostile archives are refused, and nothing is written outside or run."""

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.data.sample_archives import encode, pixels, tar_bytes, zip_bytes
from transgan.data.archives.containers import Tar, Zip
from transgan.errors import UserError

IMAGE = encode(pixels(1, 8, 8), "PNG")


CLIMBERS = ["../evil.png", "a/../../evil.png", "/etc/evil.png", "C:/evil.png", "..\\evil.png"]


def tar_of(tmp_path: Path, **changes: object) -> Path:
    info = tarfile.TarInfo("a.png")
    info.size = len(IMAGE)
    for key, value in changes.items():
        setattr(info, key, value)
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(info, io.BytesIO(IMAGE))
    return tmp_path / "bad.tar"


@pytest.mark.parametrize("name", CLIMBERS)
def test_members_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "bad.zip").write_bytes(zip_bytes({name: IMAGE}))
    with pytest.raises(UserError, match="would leave the folder"):
        Zip(tmp_path / "bad.zip")
    with pytest.raises(UserError, match="would leave the folder"):
        Tar(tar_of(tmp_path, name=name))
    assert not list(tmp_path.rglob("evil.png"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(UserError, match="is a link, a device or sparse"):
        Tar(tar_of(tmp_path, type=kind, linkname="/etc/passwd", size=0))


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a.png")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="is a link or a device"):
        Zip(tmp_path / "bad.zip")


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_bytes({"a.png": IMAGE}))
    directory = content.index(b"PK\x01\x02")
    content[6] |= 1
    content[directory + 8] |= 1
    (tmp_path / "bad.zip").write_bytes(bytes(content))
    with pytest.raises(UserError, match="encrypted"):
        Zip(tmp_path / "bad.zip")


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    bomb = zip_bytes({"a.png": bytes(50 * 2**20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    (tmp_path / "bad.zip").write_bytes(bomb)
    with pytest.raises(UserError, match="zip bomb"):
        Zip(tmp_path / "bad.zip")


def test_a_zip_member_with_a_false_size_is_damaged(tmp_path: Path) -> None:
    """A member that states 10 bytes and unpacks to 50 MB yields 10 bytes, and then its checksum is wrong."""
    content = bytearray(zip_bytes({"a.png": bytes(50 * 2**20)}, zipfile.ZIP_DEFLATED))
    directory = content.index(b"PK\x01\x02")
    struct.pack_into("<I", content, 22, 10)
    struct.pack_into("<I", content, directory + 24, 10)
    (tmp_path / "bad.zip").write_bytes(bytes(content))
    archive = Zip(tmp_path / "bad.zip")
    with pytest.raises(UserError, match="damaged"):
        next(archive.contents([0]))


def test_members_that_are_too_large_are_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.png")
    info.size = 10**15
    (tmp_path / "bad.tar").write_bytes(info.tobuf())
    with pytest.raises(UserError, match="unpacks to 1,000,000,000,000,000 bytes"):
        Tar(tmp_path / "bad.tar")
    (tmp_path / "bad.tar.gz").write_bytes(tar_bytes({"a.png": bytes(257 * 2**20)}))
    with pytest.raises(UserError, match="unpacks to"):
        Tar(tmp_path / "bad.tar.gz")
