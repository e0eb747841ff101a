"""Pictures to score: a pack, a folder, an archive or an .npz, all as batches of uint8 (B, 3, H, W), read ahead in a thread, never all in memory.

Nothing is silently resized: pictures have one size, which must be the reference's, unless the protocol names a filter (`resize`). Resizing
moves FID by more than most papers' claims (Parmar et al. 2022).
"""

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from transgan.data.archives.containers import Container, Folder, open_container
from transgan.data.pack import Pack
from transgan.data.transforms import FORMATS, IMAGE_SUFFIXES, CropAndResize, ImageError
from transgan.errors import UserError
from transgan.metrics.functional import evenly
from transgan.scoring.reference import read_arrays
from transgan.utils import files

Arrays = Iterator[NDArray[np.uint8]]
NPZ_KEYS = ("images", "arr_0")  # ours, and what numpy calls a nameless array


@dataclass(frozen=True)
class Pictures:
    """`count` pictures of side `resolution`; `stream(batch)` gives them as uint8 (B, H, W, 3); `digest` is of their content, `lossy` says
    whether some are JPEG or WebP. `order`, where the order of the stream is only an archive's, is theirs: the positions that sort their names."""

    count: int
    resolution: int
    stream: Callable[[int], Arrays]
    source: str
    digest: str
    lossy: bool = False
    order: Tensor | None = None  # (count,) int64

    def in_order(self, features: Tensor) -> Tensor:
        """Features (count, ...) of the stream in the pictures' own order: IS and KID are means over parts, which an archive must not choose."""
        return features if self.order is None else features[self.order]

    def batches(self, batch: int) -> Iterator[Tensor]:
        """All pictures as they stream, uint8 (B, 3, H, W) on the CPU; the next batch is read while this one is used."""
        arrays = self.stream(batch)
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(next, arrays, None)
            while (ready := coming.result()) is not None:
                coming = reader.submit(next, arrays, None)
                yield torch.from_numpy(ready).permute(0, 3, 1, 2)


def of_array(images: NDArray[np.uint8], source: str, digest: str = "") -> Pictures:
    """Of uint8 (N, H, W, 3) in memory or memory-mapped."""
    return of_rows(images, np.arange(len(images)), source, digest)


def of_pack(pack: Pack, rows: NDArray[np.int64]) -> Pictures:
    """Of some rows of a pack."""
    chosen = hashlib.sha256(f"{pack.sha256} {rows.tolist()}".encode()).hexdigest()
    return of_rows(pack.images, rows, f"pack {pack.sha256[:8]}", chosen)


def of_rows(images: NDArray[np.uint8], rows: NDArray[np.int64], source: str, digest: str) -> Pictures:
    """Of some rows of an array uint8 (N, H, W, 3)."""

    def stream(batch: int) -> Arrays:
        return (np.ascontiguousarray(images[rows[start : start + batch]]) for start in range(0, len(rows), batch))

    return Pictures(len(rows), images.shape[1], stream, source, digest)


def from_path(path: Path, count: int | None, resolution: int | None, resize: str) -> Pictures:
    """Of an .npz, a folder (with its folders) or an archive: at most `count` pictures, evenly spaced over the sorted names.

    With a `resolution`, pictures of another size are brought to it with the filter `resize`, or refused where that is "none"; without, all must
    be squares of one size. Raises UserError when there are none, or naming the first one that cannot be used.
    """
    if path.suffix == ".npz":
        images = array(path)
        if resolution not in (None, images.shape[1]):
            raise UserError(
                f"{path}: pictures of {images.shape[1]} pixels, {resolution} are wanted; resize them or name another reference"
            )
        return of_rows(images, evenly(len(images), count), str(path), files.sha256(path))
    container = open_container(path)
    names = [index for index, name in enumerate(container.names) if Path(name).suffix.lower() in IMAGE_SUFFIXES]
    if not names:
        raise UserError(f"{path}: no pictures in it ({', '.join(sorted(IMAGE_SUFFIXES))})")
    names.sort(key=lambda index: container.names[index])
    wanted = [names[row] for row in evenly(len(names), count)]
    chosen = sorted(wanted)  # as they stream
    position = {index: place for place, index in enumerate(chosen)}
    order = None if chosen == wanted else torch.tensor([position[index] for index in wanted])
    side = resolution or _side(container, chosen[0])
    stream = partial(
        _decoded, path, chosen, CropAndResize(side, "lanczos" if resize == "none" else resize, "none"), resize == "none"
    )
    lossy = any(Path(container.names[index]).suffix.lower() != ".png" for index in chosen)
    return Pictures(len(chosen), side, stream, str(path), _digest(container), lossy, order)


def array(path: Path) -> NDArray[np.uint8]:
    """Pictures uint8 (N, H, W, 3) of an .npz under the name images or arr_0. Raises UserError for anything else that such a file may hold."""
    arrays = read_arrays(path)
    name = next((key for key in NPZ_KEYS if key in arrays), None)
    if name is None:
        raise UserError(
            f"{path}: has no array {' or '.join(NPZ_KEYS)} of pictures (it has: {', '.join(sorted(arrays))})"
        )
    images = arrays[name]
    if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2] or len(images) == 0:
        raise UserError(f"{path}: {name} has shape {images.shape}, must be (N, H, H, 3): squares, channels last")
    if images.dtype != np.uint8:
        raise UserError(
            f"{path}: {name} is {images.dtype}, must be uint8 in 0 ... 255: how it is rounded changes the score, so do it yourself"
        )
    if images.max() <= 1:
        raise UserError(f"{path}: {name} has no value above 1, pictures are wanted in 0 ... 255")
    return images


def _decoded(path: Path, chosen: Sequence[int], transform: CropAndResize, exact: bool, batch: int) -> Arrays:
    container = open_container(path)
    try:
        contents = container.contents(chosen)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for start in range(0, len(chosen), batch):
                part = chosen[start : start + batch]
                names = [container.names[index] for index in part]
                yield np.stack(
                    list(pool.map(partial(_picture, path, transform, exact), names, [next(contents) for _ in part]))
                )
    finally:
        container.close()


def _picture(path: Path, transform: CropAndResize, exact: bool, name: str, content: bytes | Path) -> NDArray[np.uint8]:
    try:
        width, height = _size(content)
        if exact and (width, height) != (transform.resolution, transform.resolution):
            raise ImageError(
                f"{width} x {height} pixels, {transform.resolution} x {transform.resolution} are wanted; resize it, or name a filter as `resize`"
            )
        if width != height:
            raise ImageError(f"{width} x {height} pixels, squares are wanted; crop it")
        return transform(content)
    except ImageError as error:
        raise UserError(f"{path}: {name}: {error}") from error


def _size(content: bytes | Path) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content, formats=FORMATS) as image:
            return image.size
    except UnidentifiedImageError:
        raise ImageError("not a JPEG, PNG or WebP picture") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ImageError(" ".join(str(error).split()) or "cannot be read") from error


def _side(container: Container, index: int) -> int:
    name = container.names[index]
    try:
        width, height = _size(next(iter(container.contents([index]))))
    except ImageError as error:
        raise UserError(f"{container.path}: {name}: {error}") from error
    if width != height:
        raise UserError(
            f"{container.path}: {name}: {width} x {height} pixels, squares are wanted; crop them, or make a pack with `transgan prepare`"
        )
    return width


def _digest(container: Container) -> str:
    """Of an archive's file, or of a folder's names and contents: pictures that are replaced have another digest."""
    if not isinstance(container, Folder):
        return files.sha256(container.path)
    content = hashlib.sha256()
    for name in container.names:
        content.update(f"{name}\0{files.sha256(container.path / name)}\n".encode())
    return content.hexdigest()
