"""LSUN: the database as a folder and in a zip."""

from contextlib import suppress
from pathlib import Path

import lmdb
import numpy as np
import pytest

from tests.data import sample_archives
from tests.data.readers.helpers import config, write
from tests.data.sample_archives import encode, pixels, zip_bytes
from transgan.data.readers.lsun import LsunReader
from transgan.errors import UserError


@pytest.mark.parametrize("packed", [True, False])
def test_lsun(tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transgan.data.readers.lsun.REOPEN_BYTES", 20_000)  # reopens several times
    path = write(tmp_path, sample_archives.lsun(tmp_path / "made", 7))["church_outdoor_train_lmdb.zip"]
    reader = LsunReader(
        config("lsun", ["train"]),
        path if packed else tmp_path / "made" / "church_outdoor_train_lmdb",
        tmp_path / "scratch",
    )
    names = [entry.name for entry in reader.entries]
    assert names == sorted(names)
    assert len(names) == 7
    assert set(reader.contents(0)) == {encode(pixels(i, 256, 341 + i), "WEBP") for i in range(7)}
    assert list(reader.contents(5)) == list(reader.contents(0))[5:]


def test_a_damaged_database_is_reported(tmp_path: Path) -> None:
    files = {
        "empty.zip": zip_bytes({"church_outdoor_train_lmdb/lock.mdb": b""}),
        "broken.zip": zip_bytes({"church_outdoor_train_lmdb/data.mdb": b"nothing of lmdb" * 1000}),
        "cut.zip": sample_archives.lsun(tmp_path / "made")["church_outdoor_train_lmdb.zip"][:-100],
    }
    for number, (name, message) in enumerate(
        (("empty.zip", "has no data.mdb"), ("broken.zip", "damaged database"), ("cut.zip", "damaged or truncated"))
    ):
        with pytest.raises(UserError, match=message):
            LsunReader(config("lsun", ["train"]), write(tmp_path, files)[name], tmp_path / f"scratch{number}")


@pytest.mark.faults
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_database_that_is_cut_does_not_end_the_process(tmp_path: Path, share: float) -> None:
    sample_archives.lsun(tmp_path / "made", 7)
    folder = tmp_path / "made" / "church_outdoor_train_lmdb"
    database = folder / "data.mdb"
    with database.open("rb+") as file:
        file.truncate(int(_used_bytes(folder) * share))
    with pytest.raises(UserError, match=r"damaged database .*; delete it and fetch it again"):
        LsunReader(config("lsun", ["train"]), folder, tmp_path / "scratch")


@pytest.mark.faults
def test_no_damaged_page_of_a_database_ends_the_process(tmp_path: Path) -> None:
    sample_archives.lsun(tmp_path / "made", 7)
    folder = tmp_path / "made" / "church_outdoor_train_lmdb"
    whole = (folder / "data.mdb").read_bytes()
    random = np.random.default_rng(0)
    for page in random.integers(0, _used_bytes(folder) // 4096, 6):
        content = bytearray(whole)
        content[page * 4096 : page * 4096 + 64] = random.bytes(64)
        (folder / "data.mdb").write_bytes(content)
        with suppress(UserError):  # the page may be one of an image
            list(LsunReader(config("lsun", ["train"]), folder, tmp_path / "scratch").contents(0))


def _used_bytes(folder: Path) -> int:
    with lmdb.open(str(folder), readonly=True, lock=False) as database:
        return int((database.info()["last_pgno"] + 1) * database.stat()["psize"])
