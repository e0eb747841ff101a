"""Pictures to score: a pack, a folder, an archive or an array, all as batches of uint8 (B, 3, H, W) read ahead in a thread."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transgan.data.pack import Pack

Read = Callable[[int, int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Pictures:
    """`count` pictures of side `resolution`; `read(start, stop)` gives uint8 (stop - start, H, W, 3); `source` says where they come from."""

    count: int
    resolution: int
    read: Read
    source: str

    def batches(self, batch: int) -> Iterator[Tensor]:
        """All pictures in order, uint8 (B, 3, H, W) on the CPU; the next batch is read while this one is used."""
        starts = range(0, self.count, batch)
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._batch, starts[0], batch)
            for start in starts:
                ready = coming.result()
                if start + batch < self.count:
                    coming = reader.submit(self._batch, start + batch, batch)
                yield ready

    def _batch(self, start: int, batch: int) -> Tensor:
        images = np.ascontiguousarray(self.read(start, min(start + batch, self.count)))
        return torch.from_numpy(images).permute(0, 3, 1, 2)


def of_array(images: NDArray[np.uint8], source: str) -> Pictures:
    """Of uint8 (N, H, W, 3) in memory or memory-mapped."""
    return Pictures(len(images), images.shape[1], lambda start, stop: np.array(images[start:stop]), source)


def of_pack(pack: Pack, rows: NDArray[np.int64]) -> Pictures:
    """Of some rows of a pack."""
    return Pictures(len(rows), pack.images.shape[1], lambda start, stop: pack.read(rows[start:stop]), f"pack {pack.sha256[:8]}")
