"""A user's own images in an .npz: an array images or arr_0 of uint8 (N, H, H, 3), and labels or arr_1 (N,), if any."""

from collections.abc import Iterator
from pathlib import Path

from transgan.data.archives.byte_ranges import Content
from transgan.data.npz_images import read_images, read_labels
from transgan.data.readers.base import Entry, Reader
from transgan.errors import UserError
from transgan.schema import DatasetConfig


class NpzReader(Reader):
    """Holds the images in memory. All belong to the one split."""

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        super().__init__()
        if len(config.splits) > 1:
            raise UserError(f"{path}: an .npz has no splits, but the dataset names {len(config.splits)}; name one")
        self._images = read_images(path)
        labels = read_labels(path, len(self._images)).tolist()
        self.classes = [str(label) for label in range(max(labels) + 1)]
        self.entries = [Entry(f"{row:08d}", config.splits[0].name, label) for row, label in enumerate(labels)]

    def contents(self, start: int) -> Iterator[Content]:
        """Yield uint8 arrays (H, H, 3)."""
        yield from self._images[start:]
