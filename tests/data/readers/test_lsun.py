"""LSUN: the database as a folder and in a zip."""

from pathlib import Path

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
