"""Precision against recall: are samples like pictures, and do they cover them; a cross spans the evaluation seeds."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.report.cells import metric_label
from transgan.report.plots import sources
from transgan.report.plots.style import COLOURS, canvas
from transgan.schema import FigureConfig

MARKERS = "osD^vP*"
MARGIN = 0.04  # points at 0 or 1 are seen whole


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """A point per run. Raises UserError for a run whose protocol does not measure precision and recall."""
    figure = canvas(plan, config.title, 4.6, width=7.0)
    axes = figure.subplots()
    names: dict[str, list[str]] = {"precision": [], "recall": []}
    for i, run in enumerate(config.runs):
        found = sources.scores(plan, run)
        if not {"precision", "recall"} <= set(found):
            raise UserError(
                f"{plan.file}: figures: {run} has no precision and recall; give its protocol the metric prc"
            )
        precision, recall = (np.array(found[metric]["values"]) for metric in ("precision", "recall"))
        spread: dict[str, Any] = {"xerr": np.ptp(recall) / 2, "yerr": np.ptp(precision) / 2}
        look: dict[str, Any] = {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": "none",
            "fillstyle": "none",
        }
        # Runs may lie on one another, so the legend has the numbers.
        label = f"{run}: {precision.mean():.2f}, {recall.mean():.2f}"
        axes.errorbar([recall.mean()], [precision.mean()], **spread, **look, label=label)
        for metric, known in names.items():
            known.append(metric_label(metric, plan.run(run).protocol.plain()).lower())
    limits = (-MARGIN, 1 + MARGIN)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel(f"{', '.join(dict.fromkeys(names['recall']))} (higher is better)")
    axes.set_ylabel(f"{', '.join(dict.fromkeys(names['precision']))} (higher is better)")
    axes.legend(fontsize=7, title="precision, recall", title_fontsize=7, loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure
