"""STL-10: 96 x 96 images in ten classes, most of them unlabeled.

Source: https://cs.stanford.edu/~acoates/stl10/
File: stl10_binary.tar.gz, with {train,test,unlabeled}_X.bin (uint8 images; channel planes in column-major order),
{train,test}_y.bin (labels 1 to 10) and class_names.txt.
Splits: train (5,000 images), test (8,000) and unlabeled (100,000).

Images are streamed through the compressed archive.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transgan.data.archives.byte_ranges import Content
from transgan.data.archives.containers import Tar
from transgan.data.readers.base import Entry, Reader, check_parts
from transgan.errors import UserError
from transgan.schema import DatasetConfig

SIDE = 96
IMAGE_BYTES = 3 * SIDE * SIDE
MAX_MEMBER_BYTES = 16 * 2**30  # unlabeled_X.bin has 2.8 GB
PARTS = ("train", "test", "unlabeled")
CHUNK_IMAGES = 64


class Stl10Reader(Reader):
    """Streams the images of the parts that `splits` names. Labels become 0 to 9, or -1 for unlabeled images."""

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        super().__init__()
        self._path = path
        self._tar = Tar(path, limit=MAX_MEMBER_BYTES, preload=("_y.bin", "class_names.txt"))
        split_of = check_parts(config, PARTS, str(path))
        names = {name.rsplit("/", 1)[-1]: index for index, name in enumerate(self._tar.names)}
        self.classes = self._preloaded("class_names.txt").decode().split()
        # In the archive's order.
        self._members = sorted(names[f"{part}_X.bin"] for part in split_of if f"{part}_X.bin" in names)
        for index in self._members:
            part = self._tar.names[index].rsplit("/", 1)[-1].removesuffix("_X.bin")
            count, rest = divmod(self._tar.sizes[index], IMAGE_BYTES)
            if part == "unlabeled":
                labels = np.full(count, -1)
            else:
                labels = np.frombuffer(self._preloaded(f"{part}_y.bin"), np.uint8).astype(int) - 1
            if rest or len(labels) != count:
                raise UserError(
                    f"{path}: {part}_X.bin and {part}_y.bin do not hold the same number of 96-pixel images;"
                    " get it from its publisher"
                )
            self.entries += [Entry(f"{part}/{row:06d}", split_of[part], int(label)) for row, label in enumerate(labels)]

    def contents(self, start: int) -> Iterator[Content]:
        """Yield uint8 arrays (96, 96, 3)."""
        for index in self._members:
            count = self._tar.sizes[index] // IMAGE_BYTES
            if start < count:
                for chunk in self._tar.stream(index, start * IMAGE_BYTES, CHUNK_IMAGES * IMAGE_BYTES):
                    yield from np.frombuffer(chunk, np.uint8).reshape(-1, 3, SIDE, SIDE).transpose(0, 3, 2, 1)
            start = max(start - count, 0)

    def _preloaded(self, name: str) -> bytes:
        for member, content in self._tar.preloaded.items():
            if member.rsplit("/", 1)[-1] == name:
                return content
        raise UserError(f"{self._path}: has no {name}; get it from its publisher")
