"""Folders, zips and tars that are missing, damaged or under another name."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import MakePlan
from tests.data.readers.helpers import pack_source, png_files
from tests.data.sample_archives import encode, pixels, tar_bytes, zip_bytes
from transgan.errors import UserError


@pytest.mark.parametrize("name", ["gone", "gone.zip", "gone.tar"])
def test_a_missing_source_is_named(make_plan: MakePlan, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}: not there"):
        pack_source(make_plan, tmp_path / name)


def test_a_file_of_another_kind_is_refused(make_plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "mine.rar").write_bytes(b"Rar!")
    with pytest.raises(UserError, match="must be a folder"):
        pack_source(make_plan, tmp_path / "mine.rar")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.7])
def test_truncated_archives_are_reported(make_plan: MakePlan, tmp_path: Path, kind: str, share: float) -> None:
    files = {
        f"{i}.png": encode(np.random.default_rng(i).integers(0, 256, (24, 24, 3), dtype=np.uint8), "PNG")
        for i in range(12)
    }
    whole = zip_bytes(files) if kind == "zip" else tar_bytes(files, f"w:{kind[4:]}")
    content = whole[: int(len(whole) * share)]
    path = tmp_path / f"source.{kind}"
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged or truncated"):
        pack_source(make_plan, path)


def test_a_plain_tar_cut_between_two_members_is_reported(make_plan: MakePlan, tmp_path: Path) -> None:
    """tarfile itself does not notice."""
    member = encode(pixels(1, 12, 12), "PNG")
    one = 512 + -(-len(member) // 512) * 512
    (tmp_path / "source.tar").write_bytes(tar_bytes({"1.png": member, "2.png": member}, "w")[:one])
    with pytest.raises(UserError, match="ends too early"):
        pack_source(make_plan, tmp_path / "source.tar")


def test_damaged_member_of_a_zip_is_reported(make_plan: MakePlan, tmp_path: Path) -> None:
    content = bytearray(zip_bytes(png_files({"1.png": 1, "2.png": 2})))
    content[len(content) // 3] ^= 0xFF
    (tmp_path / "source.zip").write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"damaged or truncated"):
        pack_source(make_plan, tmp_path / "source.zip")


def test_a_tar_gz_under_another_name_is_read_by_its_content(make_plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "source.tar").write_bytes(gzip.compress(tar_bytes(png_files({"1.png": 1}), "w")))
    assert pack_source(make_plan, tmp_path / "source.tar").manifest["count"] == 1
