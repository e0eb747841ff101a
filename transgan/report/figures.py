"""The stage `figure`: png and pdf of one figure, drawn by the module of its kind in `plots`."""

from importlib import import_module
from typing import TYPE_CHECKING

from transgan.config.plan import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def make(plan: Plan, figure: str) -> None:
    """Write figures/<figure>.png and .pdf from the outputs and scores of the runs it names.

    The same inputs give the same bytes. Raises UserError for an unknown figure or a missing run, naming it.
    """
    from transgan.report.plots import style

    config = plan.figure(figure).model_copy(update={"runs": plan.figure_runs(figure)})
    with style.theme():
        drawn: Figure = import_module(f"transgan.report.plots.{config.kind}").draw(plan, config)
        style.save(drawn, plan.paths.figure(figure))
