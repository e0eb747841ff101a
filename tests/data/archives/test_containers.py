"""Folders, zips and tars that are missing, damaged or under another name."""

import bz2
import gzip
import io
import lzma
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import with_flipped_bit
from tests.data.conftest import MakePlan
from tests.data.readers.helpers import pack_source, png_files
from tests.data.sample_archives import encode, pixels, tar_bytes, zip_bytes
from transgan.data.archives.containers import Tar, open_container
from transgan.errors import UserError


@pytest.mark.parametrize("name", ["gone", "gone.zip", "gone.tar"])
def test_a_missing_source_is_named(make_plan: MakePlan, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"{name}: not there"):
        pack_source(make_plan, tmp_path / name)


def test_a_file_of_another_kind_is_refused(make_plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "mine.xyz").write_bytes(b"?")
    with pytest.raises(UserError, match=r"must be a folder, a \.zip, a \.tar .*, an \.npz or an \.npy of images$"):
        pack_source(make_plan, tmp_path / "mine.xyz")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("mine.rar", b"Rar!", "an archive, which is not read; unpack it"),
        ("mine.h5", b"", "an HDF5 file, which is not read; write its images as files"),
        ("mine", b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        ("train.parquet", b"PAR1", "a Parquet table, as Hugging Face keeps datasets"),
        ("data.mdb", b"", r"an LMDB database \(only LSUN's is read, with `source: lsun`\)"),
    ],
)
def test_a_file_of_a_known_kind_that_is_not_read_says_what_to_do(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=kind):
        open_container(tmp_path / name)


@pytest.mark.parametrize("name", ["MINE.ZIP", "MINE.TAR", "MINE.TAR.GZ", "Mine.Tgz"])
def test_suffixes_in_capitals(make_plan: MakePlan, tmp_path: Path, name: str) -> None:
    mode = "w:gz" if name.lower().endswith("gz") else "w"
    files = png_files({"1.PNG": 1})
    (tmp_path / name).write_bytes(zip_bytes(files) if name == "MINE.ZIP" else tar_bytes(files, mode))
    assert pack_source(make_plan, tmp_path / name).manifest["count"] == 1


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


COMPRESS = {"tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}


def noise(count: int) -> dict[str, bytes]:
    """Images that do not compress, so that most bits of an archive are theirs."""
    random = np.random.default_rng(0)
    return {f"{i}.png": encode(random.integers(0, 256, (24, 24, 3), dtype=np.uint8), "PNG") for i in range(count)}


@pytest.mark.faults
@pytest.mark.parametrize("kind", COMPRESS)
def test_no_flipped_bit_of_a_compressed_tar_gives_other_images(tmp_path: Path, kind: str) -> None:
    members, path = noise(12), tmp_path / f"source.{kind}"
    whole = COMPRESS[kind](tar_bytes(members, "w"))
    damaged = 0
    for content in with_flipped_bit(whole, 40):
        path.write_bytes(content)
        try:
            archive = Tar(path)
            read = dict(zip(archive.names, archive.contents(range(len(archive.names))), strict=True))
        except UserError:
            damaged += 1
        else:
            assert read == members  # the bit means nothing, such as the time in gzip's header
    assert damaged > 30


@pytest.mark.faults
@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("missing", [1, 8, 20])
def test_a_compressed_tar_without_its_last_bytes_is_damaged(tmp_path: Path, kind: str, missing: int) -> None:
    path = tmp_path / f"source.{kind}"
    path.write_bytes(COMPRESS[kind](tar_bytes(noise(3), "w"))[:-missing])
    with pytest.raises(UserError, match="damaged or truncated"):
        Tar(path)


@pytest.mark.faults
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_tar_that_was_cut_before_it_was_compressed_is_damaged(tmp_path: Path, compress: object) -> None:
    member = encode(pixels(1, 12, 12), "PNG")
    one = 512 + -(-len(member) // 512) * 512
    whole = tar_bytes({"1.png": member, "2.png": member}, "w")
    for cut in (one, one + 512, one + 600):
        (tmp_path / "source.tar").write_bytes(compress(whole[:cut]))  # type: ignore[operator]
        with pytest.raises(UserError, match="damaged or truncated"):
            Tar(tmp_path / "source.tar")


@pytest.mark.faults
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_tars_that_were_joined_are_not_taken_for_the_first_of_them(tmp_path: Path, compress: object) -> None:
    both = tar_bytes(png_files({"1.png": 1}), "w") + tar_bytes(png_files({"2.png": 2}), "w")
    (tmp_path / "source.tar").write_bytes(compress(both))  # type: ignore[operator]
    with pytest.raises(UserError, match="more follows its end"):
        Tar(tmp_path / "source.tar")


@pytest.mark.faults
@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_header_that_claims_gigabytes_is_not_read_into_memory(tmp_path: Path, kind: bytes, compress: object) -> None:
    info = tarfile.TarInfo("name")
    info.type, info.size = kind, 7 * 2**30
    (tmp_path / "source.tar").write_bytes(compress(info.tobuf() + bytes(2**20)))  # type: ignore[operator]
    with pytest.raises(UserError, match="a header of 7,516,192,768 bytes"):
        Tar(tmp_path / "source.tar")


@pytest.mark.faults
def test_a_member_that_claims_more_than_the_tar_holds_is_damaged(tmp_path: Path) -> None:
    info = tarfile.TarInfo("batches.meta")
    info.size = 200 * 2**20
    (tmp_path / "source.tar").write_bytes(info.tobuf() + bytes(4096))
    with pytest.raises(UserError, match="ends too early"):
        Tar(tmp_path / "source.tar", preload=("batches.meta",))


@pytest.mark.faults
def test_a_long_name_is_read(tmp_path: Path) -> None:
    name = "a" * 90 + "/" + "b" * 200 + ".png"
    buffer = io.BytesIO()
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            archive.addfile(tarfile.TarInfo(name))
        (tmp_path / "source.tar").write_bytes(buffer.getvalue())
        assert Tar(tmp_path / "source.tar").names == [name]
        buffer = io.BytesIO()
