"""Differences of a table's rows with their intervals, paired and unpaired, around a line at no difference."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from transgan.report.plots.style import COLOURS, GREY, INCHES
from transgan.utils.escape import plot_text


def draw(frame: pd.DataFrame, names: Sequence[str]) -> Figure:
    """A panel per column and measure, a line of it per difference: its mean, the paired and the unpaired interval.

    `frame` has the columns of `transgan.report.paired`; `names` says what each of its lines compares.
    """
    places = list(frame.assign(name=list(names)).groupby(["column", "measured"], sort=False))
    most = max(len(part) for _, part in places)
    figure = Figure(figsize=(INCHES, (0.9 + 0.34 * most) * len(places)), layout="constrained")
    panels = figure.subplots(len(places), 1, squeeze=False)[:, 0]
    for axes, ((column, measured), part) in zip(panels, places, strict=True):
        heights = np.arange(len(part))
        axes.hlines(heights - 0.1, part["low"], part["high"], color=COLOURS[0], linewidth=2.5, label="paired")
        axes.plot(part["mean"], heights - 0.1, "o", color=COLOURS[0], markersize=5)
        axes.hlines(
            heights + 0.2, part["unpaired_low"], part["unpaired_high"], color=GREY, linewidth=1, label="unpaired"
        )
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(heights, [plot_text(name) for name in part["name"]])
        axes.set(title=plot_text(f"{column} {measured}: mean difference, 95% interval"), ylim=(len(part) - 0.5, -0.5))
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure
