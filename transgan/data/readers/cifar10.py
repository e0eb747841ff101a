"""CIFAR-10: 32 x 32 images in ten classes.

Source: https://www.cs.toronto.edu/~kriz/cifar.html
File: cifar-10-python.tar.gz, with pickled batches of 10,000 images and labels, and batches.meta with the class names.
Splits: train (data_batch_1 to data_batch_5, 50,000 images) and test (test_batch, 10,000 images).

The pickles are read with an unpickler that can build lists, dicts, bytes and uint8 arrays, and nothing else.
"""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from transgan.data.archives.byte_ranges import Content
from transgan.data.archives.containers import Tar
from transgan.data.readers.base import Entry, Reader, check_parts
from transgan.errors import UserError
from transgan.schema import DatasetConfig

SIDE = 32
PARTS = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}


class Cifar10Reader(Reader):
    """Reads the batches into memory (180 MB). An image is a row of 3,072 bytes: the red, green and blue planes."""

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        super().__init__()
        self._path = path
        split_of = check_parts(config, list(PARTS), str(path))
        wanted = [name for part in split_of for name in PARTS[part]]
        raw = Tar(path, preload=("batches.meta", *wanted)).preloaded
        self._batches: list[np.ndarray] = []
        for member in sorted(raw):
            name = member.rsplit("/", 1)[-1]
            content = self._load(member, raw.pop(member))
            if name == "batches.meta":
                names = content.get(b"label_names", [])
                self.classes = [name.decode("utf-8", "replace") for name in names if isinstance(name, bytes)]
                continue
            images, labels = self._checked(member, content)
            split = next(split_of[part] for part in split_of if name in PARTS[part])
            self._batches.append(images)
            self.entries += [Entry(f"{name}/{row:05d}", split, label) for row, label in enumerate(labels)]

    def contents(self, start: int) -> Iterator[Content]:
        """Yield uint8 arrays (32, 32, 3)."""
        for batch in self._batches:
            yield from batch[start:]
            start = max(start - len(batch), 0)

    def _checked(self, member: str, batch: dict[bytes, Any]) -> tuple[np.ndarray, list[int]]:
        """Return images (N, 32, 32, 3) and labels of a batch. Raises UserError for another format."""
        data, labels = batch.get(b"data"), batch.get(b"labels")
        if not isinstance(data, np.ndarray) or data.shape[1:] != (3 * SIDE * SIDE,) or not isinstance(labels, list):
            raise UserError(f"{self._path}: {member} is not a CIFAR-10 batch; get the archive from its publisher")
        if len(labels) != len(data) or not all(isinstance(label, int) and 0 <= label < 256 for label in labels):
            raise UserError(
                f"{self._path}: {member} has labels that do not fit its images; get the archive from its publisher"
            )
        return data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels

    def _load(self, member: str, content: bytes) -> dict[bytes, Any]:
        try:
            batch = RestrictedUnpickler(io.BytesIO(content)).load()
        except Exception as error:  # a damaged pickle can raise any exception
            raise UserError(f"{self._path}: {member}: refused ({error}); get the archive from its publisher") from error
        if not isinstance(batch, dict):
            raise UserError(f"{self._path}: {member} does not hold a dict; get the archive from its publisher")
        return batch


class RestrictedUnpickler(pickle.Unpickler):
    """Unpickles numbers, text, bytes, lists, dicts and uint8 arrays.

    Raises UnpicklingError for a pickle that asks for any other name. Calls nothing that a pickle names.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, encoding="bytes")

    def find_class(self, module: str, name: str) -> Any:
        """Return this module's substitute for one of the names that the pickle of an array needs."""
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _dtype,
            ("_codecs", "encode"): _encode,  # how Python 3 writes bytes in the old protocol
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"the pickle asks for {module}.{name}, which a batch of images does not need")
        return allowed[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to objects outside the pickle."""
        raise pickle.UnpicklingError("the pickle refers to something outside itself")

    def load(self) -> Any:
        """Return the unpickled object, with NumPy arrays."""
        return _unwrap(super().load())


class _Dtype:
    """Substitute for numpy.dtype("u1"). Ignores any further state in the pickle."""

    def __setstate__(self, state: object) -> None:
        pass


class _Array:
    """Substitute for a pickled array, until its bytes have been checked."""

    value: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        if (
            not isinstance(dtype, _Dtype)
            or not isinstance(content, bytes)
            or not all(isinstance(side, int) and side >= 0 for side in shape)
        ):
            raise pickle.UnpicklingError("an array that is not of bytes")
        self.value = np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


def _reconstruct(kind: object, shape: object, code: object) -> _Array:
    return _Array()


def _dtype(code: object, align: object = False, copy: object = False) -> _Dtype:
    if code not in ("u1", b"u1", "|u1", b"|u1", "uint8", b"uint8"):
        raise pickle.UnpicklingError(f"an array of {code!r}, not of bytes")
    return _Dtype()


def _encode(text: str, encoding: object) -> bytes:
    return text.encode("latin1")


def _unwrap(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.value
    if isinstance(value, dict):
        return {key: _unwrap(item) for key, item in value.items()}
    if isinstance(value, list):
        return (
            [_unwrap(item) for item in value]
            if any(isinstance(item, _Array | dict | list) for item in value)
            else value
        )
    return value
