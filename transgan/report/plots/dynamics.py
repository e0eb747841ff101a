"""Training dynamics: samples of the same latents at log-spaced moments; under them the critic gap and FID."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.report.cells import metric_label
from transgan.report.plots import sources
from transgan.report.plots.style import COLOURS, canvas, images_axis, panel, spread_axis
from transgan.report.titles import run_titles
from transgan.schema import FigureConfig, RecipeConfig
from transgan.utils.image_grid import make_grid
from transgan.utils.units import short_number

LATENTS = 6
COLUMNS = 2


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """Two runs beside each other, each three panels: samples, a row per latent and a column per moment; two curves."""
    columns = min(len(config.runs), COLUMNS)
    rows = -(-len(config.runs) // columns)
    figure = canvas(plan, config, 5.6 * rows + 0.4, width=max(5.0, 4.2 * columns))
    panels = figure.subplots(3 * rows, columns, squeeze=False, height_ratios=(4, 1.3, 1.3) * rows)
    by_run = panels.reshape(rows, 3, columns).swapaxes(1, 2).reshape(-1, 3)
    for axes in by_run[len(config.runs) :].flat:
        axes.set_axis_off()
    for (samples, gap, fid), (run, title) in zip(by_run, run_titles(plan, config.runs).items(), strict=False):
        _draw_samples(samples, plan, run, title)
        sns.lineplot(sources.history(plan, run), x="images", y="gap", color=COLOURS[0], errorbar=None, ax=gap)
        gap.set(title="critic gap", xlabel="", ylabel="")
        _draw_fid(fid, plan, run)
        gap.sharex(fid)
        fid.autoscale(axis="x")  # over both panels: FID may be measured late only
        images_axis(fid)
    return figure


def _draw_samples(axes: Axes, plan: Plan, run: str, title: str) -> None:
    """The samples of a few latents at every moment, with the number of real images shown under each column."""
    records = sources.dynamics(plan, run)
    moments = _log_spaced(records["images"], plan.run(run).recipe)
    shown = records["pictures"][moments, :LATENTS]  # (P, L, H, W, 3)
    points, latents, height, width, _ = shown.shape
    sheet = make_grid(shown.swapaxes(0, 1).reshape(latents * points, height, width, 3), points)
    panel(axes, sheet, title)
    for i, images in enumerate(records["images"][moments]):
        x, y = (i + 0.5) * (width + 1), 1.02 * sheet.shape[0]
        axes.text(x, y, short_number(float(images)), ha="center", va="top", fontsize=7)


def _log_spaced(images: np.ndarray, recipe: RecipeConfig) -> list[int]:
    """Indices of the snapshots recorded after `images` (P,) real images, without those that `dynamics.at` adds."""
    counts = recipe.log_spaced_snapshots if recipe.dynamics.at else images
    return sorted({min(int(np.searchsorted(images, count)), len(images) - 1) for count in counts})


def _draw_fid(axes: Axes, plan: Plan, run: str) -> None:
    along, end = sources.fid_along_training(plan, [run]), sources.scores(plan, [run], "fid")
    look: dict[str, Any] = {"x": "images", "y": "fid", "color": COLOURS[1], "errorbar": None, "ax": axes}
    sns.lineplot(along, marker="o", markersize=4, markeredgewidth=0, **look)
    sns.lineplot(end, marker="D", markersize=7, linestyle="none", **look)
    label = metric_label("fid", plan.run(run).protocol.plain())
    axes.set(title=f"{label} (diamond: scored at the end)", ylabel="")
    spread_axis(axes, pd.concat([along["fid"], end["fid"]]), labels=(1, 3))
