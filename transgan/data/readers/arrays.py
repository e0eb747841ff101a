"""A user's own images in an .npz or an .npy: an array of images, and an array of labels, if any.

Where arrays are named after the parts of the splits (train_images, x_test), each split has its own.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transgan.data.archives.byte_ranges import Content
from transgan.data.image_arrays import IMAGES, ImageArrays
from transgan.data.readers.base import Entry, Reader
from transgan.errors import UserError
from transgan.schema import DatasetConfig


class ArrayReader(Reader):
    """Holds the images of an .npz in memory; an .npy is mapped."""

    def __init__(self, config: DatasetConfig, path: Path) -> None:
        super().__init__()
        arrays = ImageArrays(path)
        names = _images_of_splits(config, arrays)
        self._images = [arrays.images(name) for name, _ in names]
        used = [arrays.labels_name(name) for name, _ in names]
        largest = -1
        for (name, split), images, labels_name in zip(names, self._images, used, strict=True):
            labels = arrays.labels(labels_name, len(images)).tolist()
            largest = max(largest, *labels)
            prefix = f"{name}/" if len(names) > 1 else ""
            self.entries += [Entry(f"{prefix}{row:08d}", split, label) for row, label in enumerate(labels)]
        self.classes = [str(label) for label in range(largest + 1)]
        others = sorted(arrays.shapes.keys() - {name for name, _ in names} - set(used))
        if others or (path.suffix.lower() == ".npz" and names[0][0] not in IMAGES):
            labels_in = ", ".join(filter(None, used)) or "no array"
            left_out = f"; left out {', '.join(others)}" if others else ""
            self.notes.append(
                f"{path}: images in {', '.join(name for name, _ in names)}, labels in {labels_in}{left_out}"
            )

    def contents(self, start: int) -> Iterator[Content]:
        """Yield uint8 arrays (H, H, 3)."""
        for images in self._images:
            for image in images[start:]:
                yield np.ascontiguousarray(image)
            start = max(start - len(images), 0)


def _images_of_splits(config: DatasetConfig, arrays: ImageArrays) -> list[tuple[str, str]]:
    """Return the arrays of images with the split of each."""
    parts = [(part, split.name) for split in config.splits for part in split.source_parts]
    named = [(name, split) for part, split in parts if (name := arrays.images_of(part)) is not None]
    if len(config.splits) == 1 and (not named or arrays.shapes.keys() & set(IMAGES)):
        return [(arrays.images_name(), config.splits[0].name)]
    if len(named) == len(parts):
        return named
    raise UserError(
        f"{arrays.path}: has no splits: an array is needed for each of {', '.join(part for part, _ in parts)},"
        f" such as {parts[0][0]}_images; it has {', '.join(sorted(arrays.shapes))}"
    )
