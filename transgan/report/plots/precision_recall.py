"""Precision against recall: are samples like pictures, and do they cover them; a cross spans the evaluation seeds."""

import numpy as np
from matplotlib.figure import Figure

from transgan.errors import UserError
from transgan.plan import Plan
from transgan.report.plots import sources
from transgan.report.plots.style import COLOURS, canvas
from transgan.schema import FigureConfig


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """A point per run. Raises UserError for a run whose protocol does not measure precision and recall."""
    figure = canvas(plan, config.title, 4.6, width=5.0)
    axes = figure.subplots()
    for i, run in enumerate(config.runs):
        found = sources.scores(plan, run)
        if not {"precision", "recall"} <= set(found):
            raise UserError(f"{plan.file}: figures: {run} has no precision and recall; give its protocol the metric prc")
        precision, recall = (np.array(found[metric]["values"]) for metric in ("precision", "recall"))
        spread = {"xerr": np.ptp(recall) / 2, "yerr": np.ptp(precision) / 2}
        axes.errorbar([recall.mean()], [precision.mean()], **spread, color=COLOURS[i % len(COLOURS)], marker="o", linestyle="none", label=run)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="recall (higher is better)", ylabel="precision (higher is better)", aspect="equal")
    axes.legend(fontsize=7)
    return figure
