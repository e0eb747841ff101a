"""Helpers of the reader tests: configurations, source files, the contents of a reader, packs of a user's images."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.data.conftest import MakePlan
from tests.data.sample_archives import encode, pixels
from transgan.data.archives.byte_ranges import ByteRange, ByteRangeReader
from transgan.data.fetch import fetch
from transgan.data.pack import Pack
from transgan.data.prepare import prepare
from transgan.data.readers import Reader
from transgan.schema import DatasetConfig

TRAIN = [{"name": "train"}]


def config(source: str, splits: list[str], **options: object) -> DatasetConfig:
    """Return the configuration of a dataset; it trains on the first split."""
    names = [{"name": name} for name in splits]
    return DatasetConfig.model_validate(
        {"source": source, "resolution": 8, "splits": names, "train_splits": splits[:1], **options}
    )


def write(folder: Path, files: dict[str, bytes]) -> dict[str, Path]:
    """Write files into a folder; return {name: path}."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in files}


def images(reader: Reader, start: int = 0) -> list[np.ndarray]:
    """Return the arrays that a reader yields from entry `start` on."""
    return [np.asarray(content) for content in reader.contents(start)]


def encoded(reader: Reader, start: int = 0) -> list[Any]:
    """Return the encoded images that a reader yields from entry `start` on, with byte ranges read."""
    with ByteRangeReader() as ranges:
        return [
            ranges.read(content) if isinstance(content, ByteRange) else content for content in reader.contents(start)
        ]


def png_files(layout: dict[str, int]) -> dict[str, bytes]:
    """Return {name: PNG of 12 pixels} for {name: seed}."""
    return {name: encode(pixels(seed, 12, 12), "PNG") for name, seed in layout.items()}


def write_tree(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into a folder and its subfolders; return the folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def pack_source(make_plan: MakePlan, path: Path, splits: list[dict[str, Any]] = TRAIN, **options: Any) -> Pack:
    """Fetch and prepare a folder or archive at `path`; return its pack."""
    plan = make_plan({"mine": {"source": "folder", "path": str(path), "resolution": 12, "splits": splits, **options}})
    fetch(plan, "mine")
    prepare(plan, "mine")
    return Pack.open(plan.paths.data("mine"))
