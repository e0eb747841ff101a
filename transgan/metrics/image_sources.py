"""Stored images (a pack, a folder, an archive or arrays) as batches of uint8 (B, 3, H, W), read ahead in a thread.

Images are not resized unless the protocol names a filter (`resize`): all have one size, which must be the reference's.
Resizing changes FID by more than most papers claim to improve it (Parmar et al. 2022).
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transgan.data.archives.containers import Container, Folder
from transgan.data.archives.tar_sets import TarSet
from transgan.data.image_arrays import is_array_file, read_images
from transgan.data.image_files import content_digests, open_images
from transgan.data.image_formats import LOSSY, image_format
from transgan.data.pack import Pack
from transgan.data.transforms import CropAndResize, ImageError, image_size
from transgan.data.unread_containers import KINDS_READ
from transgan.errors import UserError
from transgan.metrics.subsets import evenly_spaced
from transgan.utils import files

logger = logging.getLogger(__name__)

Arrays = Iterator[NDArray[np.uint8]]


@dataclass(frozen=True)
class ImageSource:
    """`count` stored images of `resolution` pixels.

    `stream(batch)` yields them as uint8 (B, H, W, 3). `digest` identifies their content. `lossy` is true when some are
    JPEG or WebP. An archive may stream its images in another order than that of their names; `order` then holds the
    positions in the stream that sort them by name, int64 (count,).
    """

    count: int
    resolution: int
    stream: Callable[[int], Arrays]
    digest: str
    lossy: bool = False
    order: Tensor | None = None

    def in_order(self, features: Tensor) -> Tensor:
        """Features (count, ...) in the order of the images' names: IS and KID depend on it."""
        return features if self.order is None else features[self.order]

    def batches(self, batch: int) -> Iterator[Tensor]:
        """All images in stream order, uint8 (B, 3, H, W) on the CPU. A thread reads the next batch in advance."""
        arrays = self.stream(batch)
        with ThreadPoolExecutor(1) as reader:
            next_batch = reader.submit(next, arrays, None)
            while (array := next_batch.result()) is not None:
                next_batch = reader.submit(next, arrays, None)
                yield torch.from_numpy(array).permute(0, 3, 1, 2)


def from_array(images: NDArray[np.uint8], digest: str = "") -> ImageSource:
    """Images uint8 (N, H, W, 3), in memory or memory-mapped."""
    return from_rows(images, np.arange(len(images)), digest)


def from_pack(pack: Pack, rows: NDArray[np.int64]) -> ImageSource:
    """The given rows of a pack."""
    digest = hashlib.sha256(f"{pack.sha256} {rows.tolist()}".encode()).hexdigest()
    return from_rows(pack.images, rows, digest)


def from_rows(images: NDArray[np.uint8], rows: NDArray[np.int64], digest: str) -> ImageSource:
    """The given rows of images uint8 (N, H, W, 3)."""

    def stream(batch: int) -> Arrays:
        return (np.ascontiguousarray(images[rows[start : start + batch]]) for start in range(0, len(rows), batch))

    return ImageSource(len(rows), images.shape[1], stream, digest)


def from_path(path: Path, count: int | None, resolution: int | None, resize: str) -> ImageSource:
    """Images of a folder and its subfolders, an archive, an .npz or an .npy.

    At most `count` of them are taken, evenly spaced over sorted names.
    Images of another size than `resolution` are resized with the filter `resize`, or refused if it is "none". Without
    `resolution`, all must be squares of one size. Raises UserError when there are no images, or for the first one that
    cannot be used.
    """
    if is_array_file(path):
        images = read_images(path)
        if resolution not in (None, images.shape[1]):
            raise UserError(
                f"{path}: images of {images.shape[1]} pixels, but {resolution} are needed; "
                "resize them or name another reference"
            )
        return from_rows(images, evenly_spaced(len(images), count), files.sha256(path))
    container, selection = open_images(path)
    members = selection.indices
    if not members:
        raise selection.no_images(path, f"name {KINDS_READ}")
    if selection.note():
        logger.info(f"{path}: {selection.note()}")
    members.sort(key=lambda index: container.names[index])
    selected = [members[row] for row in evenly_spaced(len(members), count)]
    streamed = sorted(selected)
    position = {index: place for place, index in enumerate(streamed)}
    order = None if streamed == selected else torch.tensor([position[index] for index in selected])
    side = resolution or _side(container, streamed[0])
    transform = CropAndResize(side, "lanczos" if resize == "none" else resize, "none")
    stream = partial(_decoded, container, streamed, transform, resize == "none")
    lossy = any(image_format(beginning) in LOSSY for beginning in container.beginnings(streamed))
    return ImageSource(len(streamed), side, stream, _digest(container), lossy, order)


def _decoded(container: Container, members: Sequence[int], transform: CropAndResize, exact: bool, batch: int) -> Arrays:
    contents = container.contents(members)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for start in range(0, len(members), batch):
            names = [container.names[index] for index in members[start : start + batch]]
            encoded = [next(contents) for _ in names]
            yield np.stack(list(pool.map(partial(_decode, container.path, transform, exact), names, encoded)))


def _decode(path: Path, transform: CropAndResize, exact: bool, name: str, content: bytes | Path) -> NDArray[np.uint8]:
    try:
        width, height = image_size(content)
        if exact and (width, height) != (transform.resolution, transform.resolution):
            raise ImageError(
                f"{width} x {height} pixels, but {transform.resolution} x {transform.resolution} are needed; "
                "resize it, or name a filter as `resize`"
            )
        if width != height:
            raise ImageError(f"{width} x {height} pixels, but a square is needed; crop it")
        return transform(content)
    except ImageError as error:
        raise UserError(f"{path}: {name}: {error}") from error


def _side(container: Container, index: int) -> int:
    name = container.names[index]
    try:
        width, height = image_size(next(iter(container.contents([index]))))
    except ImageError as error:
        raise UserError(f"{container.path}: {name}: {error}") from error
    if width != height:
        raise UserError(
            f"{container.path}: {name}: {width} x {height} pixels, but squares are needed; "
            "crop the images, or build a pack with `transgan prepare`"
        )
    return width


def _digest(container: Container) -> str:
    """SHA-256 of an archive file, or of a folder's names and contents. Raises UserError for one that cannot be read."""
    if isinstance(container, TarSet):
        container = container.outer
    if not isinstance(container, Folder):
        return files.sha256(container.path)
    digests, failures = content_digests(container)
    if failures:
        raise UserError(f"{failures[0]}; restore it, fix its permissions or remove it")
    lines = zip(container.names, digests, strict=True)
    return hashlib.sha256(files.to_bytes("".join(f"{name}\0{digest}\n" for name, digest in lines))).hexdigest()
