"""Nearest training images of generated images, which show whether a generator copies its training data.

The distance is between pixels, or between the features of an extractor. A copy is much nearer to a training image than
training images are to each other: `nearest_images(pack.read(rows), pack, rows, k=2).distances[:, 1]` are those
distances, for comparison.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transgan.data.pack import Pack
from transgan.hardware.device import send

if TYPE_CHECKING:
    from transgan.metrics.extractors import Extractor

CHUNK = 1024  # images of the pack whose features are in memory at the same time
COMPARED_SIDE = 32  # pixels; larger images are compared at about this side

Features = Callable[[NDArray[np.uint8]], Tensor]


@dataclass(frozen=True)
class Neighbours:
    """The k nearest images of each query, nearest first: rows of the pack and Euclidean distances, both (n, k)."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float64]


def pixel_features(images: NDArray[np.uint8]) -> Tensor:
    """Pixels of uint8 images (N, H, W, 3), float64 (N, D) in 0 to 255; of large images, means of about 32 x 32 blocks.

    In block averages a shift by one pixel matters less, and a search over a large pack costs less.
    """
    count, height, width, channels = images.shape
    block = max(1, height // COMPARED_SIDE)
    rows, columns = height // block, width // block
    blocks = images[:, : rows * block, : columns * block].reshape(count, rows, block, columns, block, channels)
    return torch.from_numpy(blocks.mean((2, 4), dtype=np.float64).reshape(count, -1))


def extractor_features(extractor: "Extractor", layer: str, batch: int = 50) -> Features:
    """A function from uint8 images (N, H, W, 3) to the extractor's features of `layer`, float32 (N, D) on the CPU."""

    def features(images: NDArray[np.uint8]) -> Tensor:
        chunks = torch.split(torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2), batch)
        return torch.cat([extractor(send(chunk, extractor.device))[layer].cpu() for chunk in chunks])

    return features


def nearest_images(
    images: NDArray[np.uint8],
    pack: Pack,
    rows: NDArray[np.int64],
    k: int,
    features: Features = pixel_features,
) -> Neighbours:
    """Find the k images among `rows` of the pack that are nearest to each of `images`, uint8 (n, H, W, 3).

    Reads the pack in chunks. Images at equal distances keep the order of `rows`. `pack.read` reads the result's rows.
    """
    queries = features(images)
    distances = torch.zeros((len(queries), 0), dtype=torch.float64)
    positions = torch.zeros((len(queries), 0), dtype=torch.long)  # in `rows`
    for start in range(0, len(rows), CHUNK):
        chunk = features(pack.read(rows[start : start + CHUNK]))
        # Exact differences: the usual expansion of the square gives identical images a small distance.
        new = torch.cdist(queries, chunk, compute_mode="donot_use_mm_for_euclid_dist")
        distances = torch.cat([distances, new.double()], 1)
        positions = torch.cat([positions, torch.arange(start, start + len(chunk)).expand(len(queries), -1)], 1)
        nearest = distances.argsort(dim=1, stable=True)[:, :k]
        distances, positions = distances.gather(1, nearest), positions.gather(1, nearest)
    return Neighbours(rows[positions.numpy()], distances.numpy())
