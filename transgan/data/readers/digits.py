"""scikit-learn's handwritten digits: the data that needs no network, which the demo uses in every place."""

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from transgan.data.archives.byte_ranges import Content
from transgan.data.readers.base import Entry, Reader
from transgan.errors import UserError
from transgan.schema import DatasetConfig

SEED = 21020717  # of the split; fixed for ever, so that the held-out digits stay held out


class DigitsReader(Reader):
    """1,797 grey pictures of 8 x 8, values 0 ... 16, as RGB with values 0 ... 255, in a fixed shuffled split with even classes."""

    def __init__(self, config: DatasetConfig) -> None:
        super().__init__()
        grey, labels = _load()
        order = stratified_order(labels)
        self._images = np.repeat(np.rint(grey * (255.0 / 16.0)).astype(np.uint8)[..., None], 3, axis=3)
        self._rows: list[int] = []
        self.classes = [str(digit) for digit in range(10)]
        start = 0
        for split in config.splits:
            stop = len(order) if split.count is None else start + split.count
            if stop > len(order):
                raise UserError(
                    f"digits: the splits ask for {stop:,} pictures, there are {len(order):,}; lower their `count`"
                )
            for row in order[start:stop].tolist():
                self.entries.append(Entry(f"{len(self._rows):04d}", split.name, int(labels[row])))
                self._rows.append(row)
            start = stop

    def contents(self, start: int) -> Iterator[Content]:
        """Arrays uint8 (8, 8, 3)."""
        for row in self._rows[start:]:
            yield self._images[row]


def stratified_order(labels: np.ndarray) -> np.ndarray:
    """A fixed shuffled order of rows in which every contiguous range has the classes in even shares."""
    random = np.random.RandomState(SEED)  # the frozen legacy generator: the same in every numpy
    shuffled = random.permutation(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        position[members] = (np.arange(len(members)) + random.uniform()) / len(members)
    return np.argsort(position, kind="stable")


def digest() -> tuple[int, str]:
    """Size in bytes and SHA-256 of scikit-learn's pictures and labels."""
    grey, labels = _load()
    content = grey.tobytes() + labels.tobytes()
    return len(content), hashlib.sha256(content).hexdigest()


def _load() -> tuple[np.ndarray, np.ndarray]:
    """Pictures (1797, 8, 8) and labels (1797,) from the file inside scikit-learn.

    `load_digits` gives the same (a test compares), but importing sklearn.datasets takes four seconds, and the demo's stages would do it 14 times.
    """
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise UserError("digits: scikit-learn is not installed; install the project with its dependencies")
    rows = np.loadtxt(
        Path(package.submodule_search_locations[0]) / "datasets/data/digits.csv.gz", delimiter=",", dtype=np.uint8
    )
    return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1]
