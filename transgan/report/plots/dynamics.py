"""Training dynamics: the same latents at log-spaced moments of training, and under them the critic's gap and FID, run beside run."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from transgan.config.plan import Plan
from transgan.report.cells import metric_label
from transgan.report.plots import sources
from transgan.report.plots.samples import grid
from transgan.report.plots.style import COLOURS, canvas, picture, short, spread_axis
from transgan.schema import FigureConfig

LATENTS = 6


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """A column of panels per run: a row of pictures per latent, a column of them per moment; then the curves."""
    count = len(config.runs)
    figure = canvas(plan, config.title, 6.0, width=max(5.0, 4.2 * count))
    panels = figure.subplots(3, count, squeeze=False, height_ratios=(4, 1.3, 1.3))
    for column, run in enumerate(config.runs):
        records = sources.dynamics(plan, run)
        _draw_pictures(panels[0, column], records, run)
        _draw_gap(panels[1, column], sources.history(plan, run))
        _draw_fid(panels[2, column], plan, run, records)
        panels[2, column].sharex(panels[1, column])
    return figure


def _draw_pictures(axes: Axes, records: dict[str, np.ndarray], run: str) -> None:
    shown = records["pictures"][:, :LATENTS]  # (P, L, H, W, 3)
    points, latents, height, width, _ = shown.shape
    sheet = grid(shown.swapaxes(0, 1).reshape(latents * points, height, width, 3), points)
    picture(axes, sheet, run)
    for i, images in enumerate(records["images"]):
        axes.text(
            (i + 0.5) * (width + 1),
            sheet.shape[0] + 0.02 * sheet.shape[0],
            short(float(images)),
            ha="center",
            va="top",
            fontsize=7,
        )


def _draw_gap(axes: Axes, rows: dict[str, np.ndarray]) -> None:
    axes.plot(rows["images"], rows["gap"], color=COLOURS[0])
    axes.set_title("critic gap")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _draw_fid(axes: Axes, plan: Plan, run: str, records: dict[str, np.ndarray]) -> None:
    known = np.isfinite(records["fid"])
    values = list(records["fid"][known])
    axes.set_title(f"{metric_label('fid', plan.run(run).protocol.plain())} (diamond: scored at the end)")
    if known.any():
        axes.plot(records["images"][known], records["fid"][known], color=COLOURS[1], marker=".")
    found = sources.scores(plan, run)
    if "fid" in found:
        values.append(np.mean(found["fid"]["values"]))
        axes.plot(records["images"][-1:], values[-1:], color=COLOURS[1], marker="D", linestyle="none")
    if values:
        spread_axis(axes, values)
    axes.set_xlabel("real images shown to the discriminator")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
