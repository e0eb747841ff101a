"""NumPy's .npz archives: written atomically and reproducibly, read without unpickling anything."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transgan.errors import UserError
from transgan.utils import files


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `arrays` to `path` atomically. The same arrays in the same order give the same bytes."""
    with files.atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz. Raises UserError when the file is missing, damaged, or holds Python objects."""
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise ValueError("it holds a single array, not an archive")
        with archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        # numpy's own message advises to unpickle the file, which is unsafe
        reason = "it holds Python objects, or is no .npz archive" if "allow_pickle" in str(error) else error
        raise UserError(f"{path}: damaged, or not an .npz archive ({reason}); delete it and create it again") from error
