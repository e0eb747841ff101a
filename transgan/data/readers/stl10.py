"""STL-10's binary files: one byte after the other, planes in column-major order, streamed through the compressed archive."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transgan.data.archives.byte_ranges import Content
from transgan.data.archives.containers import Tar
from transgan.data.readers.base import Entry, Reader, check_parts
from transgan.errors import UserError
from transgan.schema import DatasetConfig

SIDE = 96
PICTURE = 3 * SIDE * SIDE
LARGEST = 16 * 2**30  # unlabeled_X.bin has 2.8 GB
PARTS = ("train", "test", "unlabeled")
CHUNK = 64  # pictures


class Stl10Reader(Reader):
    """stl10_binary.tar.gz: {train,test,unlabeled}_X.bin, and labels 1 ... 10 in {train,test}_y.bin."""

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        super().__init__()
        self._path = path
        self._tar = Tar(path, limit=LARGEST, keep=("_y.bin", "class_names.txt"))
        split_of = check_parts(config, PARTS, str(path))
        names = {name.rsplit("/", 1)[-1]: index for index, name in enumerate(self._tar.names)}
        self.classes = self._kept("class_names.txt").decode().split()
        self._members = sorted(
            names[f"{part}_X.bin"] for part in split_of if f"{part}_X.bin" in names
        )  # as they stream
        for index in self._members:
            part = self._tar.names[index].rsplit("/", 1)[-1].removesuffix("_X.bin")
            count, rest = divmod(self._tar.sizes[index], PICTURE)
            labels = (
                np.frombuffer(self._kept(f"{part}_y.bin"), np.uint8).astype(int) - 1
                if part != "unlabeled"
                else np.full(count, -1)
            )
            if rest or len(labels) != count:
                raise UserError(
                    f"{path}: {part}_X.bin and {part}_y.bin do not hold the same number of 96-pixel pictures; get it from its publisher"
                )
            self.entries += [Entry(f"{part}/{row:06d}", split_of[part], int(label)) for row, label in enumerate(labels)]

    def contents(self, start: int) -> Iterator[Content]:
        """Arrays uint8 (96, 96, 3)."""
        for index in self._members:
            count = self._tar.sizes[index] // PICTURE
            if start < count:
                for chunk in self._tar.stream(index, start * PICTURE, CHUNK * PICTURE):
                    yield from np.frombuffer(chunk, np.uint8).reshape(-1, 3, SIDE, SIDE).transpose(0, 3, 2, 1)
            start = max(start - count, 0)

    def _kept(self, name: str) -> bytes:
        found = [content for member, content in self._tar.kept.items() if member.rsplit("/", 1)[-1] == name]
        if not found:
            raise UserError(f"{self._path}: has no {name}; get it from its publisher")
        return found[0]
