"""Nearest neighbours: samples beside the training pictures closest to them, which shows whether a generator only remembers."""

import numpy as np
from matplotlib.figure import Figure

from transgan.config.plan import Plan, Run
from transgan.data.pack import Pack
from transgan.report.plots import sources
from transgan.report.plots.style import canvas, panel
from transgan.schema import FigureConfig
from transgan.utils.image_grid import make_grid

SAMPLES, NEIGHBOURS = 8, 6
# Large pictures are compared at this side: a shift of a pixel then matters less, and a pass over the data costs less.
COMPARED_SIDE = 32
CHUNK = 4096


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """One panel per run: a row per sample, the sample first, then its nearest training pictures by Euclidean distance."""
    figure = canvas(plan, config.title, 5.4, width=3.6 * len(config.runs))
    for axes, name in zip(figure.subplots(1, len(config.runs), squeeze=False)[0], config.runs, strict=True):
        made = sources.dynamics(plan, name)["pictures"][-1][:SAMPLES]
        near, _ = nearest(made, *_training_pictures(plan, plan.run(name)), NEIGHBOURS)
        rows = np.concatenate([made[:, None], near], axis=1)
        panel(
            axes,
            make_grid(rows.reshape(-1, *rows.shape[2:]), NEIGHBOURS + 1),
            f"{name}: sample | nearest training pictures",
        )
    return figure


def nearest(samples: np.ndarray, images: np.ndarray, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` pictures among images[rows] closest to each sample: uint8 (N, count, H, W, 3), and their rows (N, count)."""
    wanted = _features(samples)
    best, where = np.full((len(samples), 0), np.inf), np.zeros((len(samples), 0), np.int64)
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        known = _features(np.asarray(images[part]))
        distances = (wanted**2).sum(1)[:, None] + (known**2).sum(1)[None] - 2 * wanted @ known.T
        best, where = np.concatenate([best, distances], 1), np.concatenate([where, np.tile(part, (len(samples), 1))], 1)
        order = np.argsort(best, axis=1, kind="stable")[:, :count]
        best, where = np.take_along_axis(best, order, 1), np.take_along_axis(where, order, 1)
    return np.stack([np.asarray(images[found]) for found in where]), where


def _features(pictures: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, 3) -> float (N, pixels), block averages where pictures are larger than COMPARED_SIDE."""
    count, height, width, channels = pictures.shape
    block = max(1, height // COMPARED_SIDE)
    trimmed = pictures[:, : height // block * block, : width // block * block].astype(np.float64)
    features: np.ndarray = (
        trimmed.reshape(count, height // block, block, width // block, block, channels).mean((2, 4)).reshape(count, -1)
    )
    return features


def _training_pictures(plan: Plan, run: Run) -> tuple[np.ndarray, np.ndarray]:
    pack = Pack.open(plan.paths.data(run.dataset_name))
    return pack.images, pack.rows(run.dataset.train_splits)
