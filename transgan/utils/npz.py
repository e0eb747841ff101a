"""NumPy's .npz archives: written atomically and reproducibly, read without unpickling anything.

What a file claims to hold is compared with its size before memory is taken for it.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from transgan.errors import UserError
from transgan.utils import files

MOST_EXPANSION = 1032  # of DEFLATE: a byte unpacks to no more
SUFFIX = ".npy"  # of the members
MAGIC = b"\x93NUMPY"


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `arrays` to `path` atomically. The same arrays in the same order give the same bytes."""
    with files.atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_npz(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz that `names` lists, all without `names`; those that it does not have are left out.

    Raises UserError when the file is missing, damaged, claims more than it can hold, or holds Python objects.
    """
    with _user_error(path, ".npz archive"), _members(path) as (archive, members):
        return {name: _member(archive, info) for name, info in members.items() if not names or name in names}


def npz_shapes(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of every array of an .npz, without its content. Raises UserError as `read_npz` does."""
    shapes = {}
    with _user_error(path, ".npz archive"), _members(path) as (archive, members):
        for name, info in members.items():
            with archive.open(info) as file:
                shapes[name] = _header(file)
    return shapes


def open_npy(path: Path) -> NDArray[Any]:
    """The array of an .npy, mapped into memory. Raises UserError as `read_npz` does."""
    with _user_error(path, ".npy file"):
        with path.open("rb") as file:
            array_shape(file, path.stat().st_size)
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))


@contextmanager
def _user_error(path: Path, kind: str) -> Iterator[None]:
    """Turn the errors of a missing or damaged file into one UserError."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged, or not an {kind} ({reason}); delete it and create it again") from error


def array_shape(file: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of a .npy file of `size` bytes: shape and type of its array.

    Raises ValueError when it holds Python objects, or an array of another length than the header says.
    """
    shape, dtype = _header(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    claimed, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or claimed != there:
        raise ValueError(f"an array of {claimed:,} bytes in {there:,}")
    return shape, dtype


def read_array(encoded: bytes) -> NDArray[Any]:
    """The array of a .npy file in memory. Raises ValueError as `array_shape` does."""
    array_shape(io.BytesIO(encoded), len(encoded))
    return np.asarray(npy_format.read_array(io.BytesIO(encoded), allow_pickle=False))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy_format.read_magic(file)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


@contextmanager
def _members(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """Open an .npz: the archive, and its members by the names of their arrays."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) == MAGIC:
            raise ValueError("it holds a single array, not an archive")
        length = file.seek(0, io.SEEK_END)
        with zipfile.ZipFile(file) as archive:
            if sum(info.compress_size for info in archive.infolist()) > length:
                raise ValueError("its members are longer than the file")
            yield archive, {info.filename.removesuffix(SUFFIX): info for info in archive.infolist()}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    if info.file_size > info.compress_size * (1 if info.compress_type == zipfile.ZIP_STORED else MOST_EXPANSION):
        raise ValueError(f"{info.filename} claims {info.file_size:,} bytes in {info.compress_size:,}")
    with archive.open(info) as file:
        array_shape(file, info.file_size)
    with archive.open(info) as file:
        array = np.asarray(npy_format.read_array(file, allow_pickle=False))
        if file.read(1):  # zipfile compares the checksum when the end is reached
            raise ValueError(f"{info.filename} is longer than its array")
    return array
