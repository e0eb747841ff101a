"""Sample grids: the images of the same fixed latents by each run's generator at the end of training, uncurated."""

from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.report.plots import sources
from transgan.report.plots.style import INCHES, canvas, panel, wrapped
from transgan.report.titles import run_titles
from transgan.schema import FigureConfig
from transgan.utils.image_grid import make_grid

COLUMNS = 8
PANELS_PER_ROW = 3


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """One panel per run, 8 by 8 images of the run's first 64 fixed latents."""
    rows = -(-len(config.runs) // PANELS_PER_ROW)
    columns = min(len(config.runs), PANELS_PER_ROW)
    side = min(INCHES / columns, 4.0)
    figure = canvas(plan, config, 0.7 + rows * (side + 0.25), columns * side)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, (run, title) in zip(panels, run_titles(plan, config.runs).items(), strict=False):
        images = sources.dynamics(plan, run)["pictures"][-1][: COLUMNS * COLUMNS]
        panel(axes, make_grid(images, COLUMNS), wrapped(title, side))
    for axes in panels[len(config.runs) :]:
        axes.set_axis_off()
    return figure
