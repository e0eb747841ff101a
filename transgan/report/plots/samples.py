"""Sample grids: what each run's generator makes of the same fixed latents at the end of training, uncurated."""

import numpy as np
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.report.plots import sources
from transgan.report.plots.style import INCHES, canvas, panel
from transgan.schema import FigureConfig

COLUMNS = 8
PANELS_PER_ROW = 3


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """One panel per run, 8 by 8 pictures of the run's first 64 fixed latents."""
    rows = -(-len(config.runs) // PANELS_PER_ROW)
    columns = min(len(config.runs), PANELS_PER_ROW)
    side = min(INCHES / columns, 4.0)
    figure = canvas(plan, config.title, 0.7 + rows * (side + 0.25), columns * side)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, run in zip(panels, config.runs, strict=False):
        pictures = sources.dynamics(plan, run)["pictures"][-1]
        panel(axes, grid(pictures[: COLUMNS * COLUMNS], COLUMNS), f"{run} ({plan.run(run).dataset_name})")
    for axes in panels[len(config.runs) :]:
        axes.set_axis_off()
    return figure


def grid(pictures: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Pictures (N, H, W, 3) in rows of `columns` with a white gap of pixels between: (rows (H + gap) - gap, columns (W + gap) - gap, 3)."""
    count, height, width, channels = pictures.shape
    rows = -(-count // columns)
    sheet = np.full((rows, columns, height + gap, width + gap, channels), 255, np.uint8)
    sheet.reshape(rows * columns, height + gap, width + gap, channels)[:count, :height, :width] = pictures
    joined = sheet.swapaxes(1, 2).reshape(rows * (height + gap), columns * (width + gap), channels)
    return joined[:-gap, :-gap] if gap else joined
