"""scikit-learn's handwritten digits: 1,797 grey 8 x 8 images in ten classes. The demo uses them for every dataset.

Source: https://archive.ics.uci.edu/dataset/80 (test set), as scikit-learn ships it; no download.
File: sklearn/datasets/data/digits.csv.gz, with 64 values from 0 to 16 and a label in each row.
Splits: consecutive ranges of a fixed shuffled order in which every range has the classes in even shares.
"""

import hashlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from transgan.data.archives.byte_ranges import Content
from transgan.data.readers.base import Entry, Reader
from transgan.errors import UserError
from transgan.schema import DatasetConfig

SEED = 21020717  # of the split; never changes, so that the held-out digits stay held out


class DigitsReader(Reader):
    """Holds the digits as RGB images with values from 0 to 255."""

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
                    f"digits: the splits ask for {stop:,} images, there are {len(order):,}; lower their `count`"
                )
            for row in order[start:stop].tolist():
                self.entries.append(Entry(f"{len(self._rows):04d}", split.name, int(labels[row])))
                self._rows.append(row)
            start = stop

    def contents(self, start: int) -> Iterator[Content]:
        """Yield uint8 arrays (8, 8, 3)."""
        for row in self._rows[start:]:
            yield self._images[row]


def stratified_order(labels: np.ndarray) -> np.ndarray:
    """Return a fixed shuffled order of rows in which every contiguous range has the classes in even shares."""
    random = np.random.RandomState(SEED)  # the legacy generator, which is frozen: the same numbers in every NumPy
    shuffled = random.permutation(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        position[members] = (np.arange(len(members)) + random.uniform()) / len(members)
    return np.argsort(position, kind="stable")


def digest() -> tuple[int, str]:
    """Return the size in bytes and the SHA-256 of scikit-learn's images and labels."""
    grey, labels = _load()
    content = grey.tobytes() + labels.tobytes()
    return len(content), hashlib.sha256(content).hexdigest()


def _load() -> tuple[np.ndarray, np.ndarray]:
    """Return images (1797, 8, 8) and labels (1797,) from scikit-learn's file.

    `load_digits` returns the same (a test compares them), but importing sklearn.datasets takes four seconds, and the
    demo would do so 14 times.
    """
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise UserError("digits: scikit-learn is not installed; install the project with its dependencies")
    rows = np.loadtxt(
        Path(package.submodule_search_locations[0]) / "datasets/data/digits.csv.gz", delimiter=",", dtype=np.uint8
    )
    return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1]
