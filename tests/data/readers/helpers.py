"""Helpers of the reader tests: a dataset's configuration, files in a folder, and a reader's contents."""

from pathlib import Path
from typing import Any

import numpy as np

from transgan.data.archives.byte_ranges import ByteRange, ByteRangeReader
from transgan.data.readers import Reader
from transgan.schema import DatasetConfig


def config(source: str, splits: list[str], **options: object) -> DatasetConfig:
    names = [{"name": name} for name in splits]
    return DatasetConfig.model_validate(
        {"source": source, "resolution": 8, "splits": names, "train_splits": splits[:1], **options}
    )


def write(folder: Path, files: dict[str, bytes]) -> dict[str, Path]:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in files}


def images(reader: Reader, start: int = 0) -> list[np.ndarray]:
    return [np.asarray(content) for content in reader.contents(start)]


def encoded(reader: Reader, start: int = 0) -> list[Any]:
    with ByteRangeReader() as pieces:
        return [
            pieces.read(content) if isinstance(content, ByteRange) else content for content in reader.contents(start)
        ]
