"""Nearest training pictures of samples, in pixels and in features: whether a generator remembers or invents.

A generator that copies has samples much nearer to a training picture than training pictures are to each other, so those distances are given too.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from transgan.config.plan import Plan
from transgan.data.pack import Pack
from transgan.hardware.device import prepare_compute
from transgan.metrics import extractors, image_sources, samples, weights
from transgan.metrics.functional import evenly
from transgan.models.serialization import load_generator

CHUNK = 500
Parts = Callable[[], Iterator[Tensor]]


@dataclass(frozen=True)
class Nearest:
    """The k nearest of each query, nearest first: rows int64 (n, k) of the searched set and Euclidean distances float32 (n, k)."""

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]


def find(
    plan: Plan, run_name: str, count: int = 16, k: int = 5, among: int | None = None, seed: int = 0
) -> dict[str, NDArray[Any]]:
    """Neighbours of the first `count` samples of a run among its training pictures (`among`: only so many, evenly spaced), as arrays for an .npz.

    samples uint8 (count, H, W, 3); for space in pixel, feature: <space>_rows int64 (count, k) of the pack, <space>_distances float32 (count, k),
    <space>_images uint8 (count, k, H, W, 3), and <space>_real float32 (count,): how far `count` training pictures are from their nearest other
    one. Pixels are in [0, 1]. Raises UserError when pack, generator or weights are missing.
    """
    run = plan.run(run_name)
    protocol = run.protocol
    path, _ = weights.locate(plan, protocol)
    device = prepare_compute(protocol.threads, plan.params.execution.device)
    pack = Pack.open(plan.paths.data(run.dataset_name))
    rows = pack.rows(run.dataset.train_splits)
    rows = rows[evenly(len(rows), among)]
    generator = load_generator(plan.paths.run(run_name) / "generator.safetensors").module
    sampled = torch.cat(
        [
            part.cpu()
            for part in samples.uint8_samples(generator, seed, count, protocol.batch, protocol.quantize, device)
        ]
    )
    some = evenly(len(rows), count)
    training = image_sources.of_pack(pack, rows)
    extractor = extractors.build(protocol, path, [protocol.feature_layer], device)

    def features(batches: Iterable[Tensor], total: int, what: str) -> Tensor:
        return extractors.extract(extractor, batches, total, f"neighbours of {run_name}: {what}")[
            protocol.feature_layer
        ]

    known = features(training.batches(protocol.batch), len(rows), "training pictures")
    arrays: dict[str, NDArray[Any]] = {"samples": sampled.permute(0, 2, 3, 1).contiguous().numpy()}

    def search(space: str, queries: Tensor, parts: Parts, real: Tensor) -> None:
        near = nearest(queries, parts(), k)
        arrays[f"{space}_rows"] = rows[near.rows]
        arrays[f"{space}_distances"] = near.distances
        arrays[f"{space}_images"] = pack.read(rows[near.rows].ravel()).reshape(*near.rows.shape, *pack.images.shape[1:])
        arrays[f"{space}_real"] = nearest(real, parts(), 2).distances[:, 1]  # the nearest of all is the picture itself

    real = torch.from_numpy(pack.read(rows[some])).permute(0, 3, 1, 2)
    search("pixel", _flat(sampled), lambda: (_flat(part) for part in training.batches(CHUNK)), _flat(real))
    search(
        "feature",
        features([sampled], count, "samples"),
        lambda: (known[i : i + CHUNK] for i in range(0, len(known), CHUNK)),
        known[some],
    )
    return arrays


def nearest(queries: Tensor, parts: Iterator[Tensor], k: int) -> Nearest:
    """The k nearest of queries (n, D) among the rows of `parts` ((m, D) each), which are seen once. Equal distances: the lower row first."""
    best = torch.full((len(queries), 0), 0.0)
    rows = torch.zeros((len(queries), 0), dtype=torch.long)
    start = 0
    for part in parts:
        # exact differences: the usual expansion of the square leaves identical pictures a little apart
        apart = torch.cdist(queries, part, compute_mode="donot_use_mm_for_euclid_dist")
        best = torch.cat([best, apart], 1)
        rows = torch.cat([rows, torch.arange(start, start + len(part)).expand(len(queries), -1)], 1)
        order = best.argsort(dim=1, stable=True)[:, :k]
        best, rows = best.gather(1, order), rows.gather(1, order)
        start += len(part)
    return Nearest(rows.numpy(), best.numpy())


def save(arrays: dict[str, NDArray[Any]], path: Path) -> None:
    """Write what `find` gives as an .npz; the same arrays give the same bytes."""
    from transgan.scoring.reference import write

    write(path, arrays)


def _flat(images: Tensor) -> Tensor:
    return images.flatten(1).float() / 255
