"""Nearest neighbours: samples beside the training images nearest to them, which shows whether a generator copies."""

import numpy as np
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.data.pack import open_pack
from transgan.metrics.neighbours import nearest_images
from transgan.report.plots import sources
from transgan.report.plots.style import canvas, panel, wrapped
from transgan.report.titles import run_titles
from transgan.schema import FigureConfig
from transgan.utils.image_grid import make_grid

SAMPLES, NEIGHBOURS = 8, 6


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """One panel per run: a row per sample, the sample first, then its nearest training images by distance of pixels."""
    figure = canvas(plan, config, 0.95 + 3.6 / (NEIGHBOURS + 1) * SAMPLES, width=3.6 * len(config.runs))
    panels = figure.subplots(1, len(config.runs), squeeze=False)[0]
    for axes, (run, title) in zip(panels, run_titles(plan, config.runs).items(), strict=True):
        panel(axes, _rows(plan, run), f"{wrapped(title, 3.4)}\nsample | nearest training images")
    return figure


def _rows(plan: Plan, name: str) -> np.ndarray:
    """The samples of a run and their neighbours as one grid."""
    run = plan.run(name)
    pack = open_pack(plan, run.dataset_name, verify=True)
    samples = sources.dynamics(plan, name)["pictures"][-1][:SAMPLES]
    nearest = nearest_images(samples, pack, pack.rows(run.dataset.train_splits), NEIGHBOURS).rows
    images = pack.read(nearest.ravel()).reshape(*nearest.shape, *samples.shape[1:])
    rows = np.concatenate([samples[:, None], images], axis=1)
    return make_grid(rows.reshape(-1, *samples.shape[1:]), columns=rows.shape[1])
