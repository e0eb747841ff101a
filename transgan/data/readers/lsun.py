"""LSUN, outdoor churches: images with a shorter side of 256 pixels.

Source: https://github.com/fyu/lsun
File: church_outdoor_train_lmdb.zip or the folder in it, an LMDB database of 126,227 encoded images (mostly WebP).
Splits: train only. No classes.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import lmdb

from transgan.data.archives import checks
from transgan.data.archives.byte_ranges import Content
from transgan.data.archives.containers import user_error_on_damage
from transgan.data.lmdb_files import open_database, problem_of
from transgan.data.readers.base import Entry, Reader, check_parts
from transgan.errors import UserError
from transgan.schema import DatasetConfig
from transgan.utils import files

DATABASE = "data.mdb"
MAX_MEMBER_BYTES = 200 * 2**30
REOPEN_BYTES = 128 * 2**20  # read pages of a memory map count as this process's memory until it is closed
COPY_BYTES = 2**20


class LsunReader(Reader):
    """Lists the keys of the database and streams its values. Unpacks a zip to `scratch` once."""

    def __init__(self, config: DatasetConfig, path: Path, scratch: Path) -> None:
        super().__init__()
        split = check_parts(config, ["train"], str(path))["train"]
        self._path = path
        self._folder = path if path.is_dir() else _unpack(path, scratch)
        if not (self._folder / DATABASE).is_file():
            raise UserError(f"{self._folder}: has no {DATABASE}; place LSUN's lmdb folder there")
        self._check_length()
        if problem := problem_of(self._folder):
            raise UserError(f"{self._path}: damaged database ({problem}); delete it and fetch it again")
        with self._open() as database, database.begin() as transaction, _user_error_on_damage(self._path):
            self._keys = list(transaction.cursor().iternext(keys=True, values=False))
        self.entries = [Entry(key.decode("ascii", "backslashreplace"), split) for key in self._keys]

    def contents(self, start: int) -> Iterator[Content]:
        """Yield encoded images in the order of keys."""
        while start < len(self._keys):
            for content in self._read_some(start):
                start += 1
                yield content

    def _read_some(self, start: int) -> Iterator[bytes]:
        """Yield images from `start` on, about REOPEN_BYTES of them."""
        size = 0
        with self._open() as database, database.begin(buffers=True) as transaction:
            for key in self._keys[start:]:
                with _user_error_on_damage(self._path):
                    value = transaction.get(key) or b""
                checks.check_size(self._path, key.decode("ascii", "backslashreplace"), len(value))
                content = bytes(value)
                size += len(content)
                yield content
                if size > REOPEN_BYTES:
                    return

    def _check_length(self) -> None:
        """Raise UserError when the file ends before the last page that the database names."""
        with self._open() as database, _user_error_on_damage(self._path):
            claimed = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
        length = (self._folder / DATABASE).stat().st_size
        if claimed > length:
            raise UserError(
                f"{self._path}: damaged database (it ends after {length:,} of {claimed:,} bytes);"
                " delete it and fetch it again"
            )

    def _open(self) -> lmdb.Environment:
        with _user_error_on_damage(self._path):
            return open_database(self._folder)


@contextmanager
def _user_error_on_damage(path: Path) -> Iterator[None]:
    """Turn the errors of LMDB into one UserError."""
    try:
        yield
    except lmdb.Error as error:
        raise UserError(f"{path}: damaged database ({error}); delete it and fetch it again") from error


def _unpack(path: Path, scratch: Path) -> Path:
    """Unpack the zip's database to `scratch`, unless an earlier call did; return `scratch`."""
    if (scratch / DATABASE).exists():
        return scratch
    with user_error_on_damage(path), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            checks.check_zip_member(path, member, MAX_MEMBER_BYTES)
        databases = [member for member in archive.infolist() if member.filename.rsplit("/", 1)[-1] == DATABASE]
        if not databases:
            raise UserError(f"{path}: has no {DATABASE}; get it from its publisher")
        with (
            files.atomic(scratch / DATABASE) as temporary,
            temporary.open("wb") as target,
            archive.open(databases[0]) as source,
        ):
            while chunk := _read(source, path):
                target.write(chunk)
    return scratch


def _read(source: IO[bytes], path: Path) -> bytes:
    with user_error_on_damage(path):
        return source.read(COPY_BYTES)
