"""Bars: FID of a table's rows, beside the paper's where the scale compares; one panel per dataset."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.report.cells_frame import cells_frame
from transgan.report.plots.style import COLOURS, INCHES, canvas, wrapped
from transgan.report.titles import dataset_title
from transgan.schema import FigureConfig
from transgan.utils.escape import plot_text

METRIC = "fid"
INTERVALS = "Lines: 95% interval of the mean over training seeds. A bar without a line is of one seed."
BELOW_ZERO = "An interval that passes below 0 is drawn from 0 on, because no FID is below."


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """A panel per column of the table with two or more rows; a bar for each cell whose runs the figure names.

    Open circles are the paper's numbers.
    """
    assert config.table is not None
    table = plan.table(config.table)
    cells = cells_frame(plan, config.table)
    cells = cells[(cells["metric"] == METRIC) & cells["run"].notna()]
    named = cells["run"].isin(config.runs).groupby([cells["column"], cells["row"]]).transform("all")
    cells = cells[named].drop_duplicates(["column", "row"])
    cells["row"] = cells["row"].map(plot_text)
    rows = [row for row in (plot_text(each.name) for each in table.rows) if row in set(cells["row"])]
    counts = cells["column"].value_counts()
    columns = [column for column in table.columns if counts.get(column.title, 0) > 1]
    width = max(INCHES, 2.8 + 2.2 * len(columns))
    notes = [table.note, INTERVALS, BELOW_ZERO if (cells["mean_low"] < 0).any() else None]
    figure = canvas(plan, config, 1.2 + 0.34 * max(len(rows), 1), width, note=" ".join(filter(None, notes)))
    panels = figure.subplots(1, max(len(columns), 1), squeeze=False, sharey=True)[0]
    for axes, column in zip(panels, columns, strict=False):
        _draw(axes, cells[cells["column"] == column.title], rows, plan.scale.comparable)
        axes.set_title(wrapped(plot_text(dataset_title(plan, column)), 2.2))
    if columns and plan.scale.comparable:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _draw(axes: Axes, cells: pd.DataFrame, rows: list[str], compare: bool) -> None:
    """A bar per row: the mean over training seeds, with the interval that the table prints."""
    sns.barplot(
        cells,
        x="mean",
        y="row",
        order=rows,
        color=COLOURS[0],
        saturation=1,
        width=0.6,
        label="ours",
        legend=False,
        ax=axes,
    )
    positions = cells["row"].map(rows.index)
    axes.hlines(positions, cells["mean_low"], cells["mean_high"], color="black", linewidth=1.2)
    ends = cells["mean_high"].fillna(cells["mean"])
    for position, mean, end in zip(positions, cells["mean"], ends, strict=True):
        words = "  not run" if pd.isna(mean) else f"  {mean:.2f}"
        axes.text(0.0 if pd.isna(mean) else end, position, words, va="center", fontsize=8)
    if compare:
        axes.plot(
            cells["paper"],
            positions,
            marker="o",
            color="black",
            markerfacecolor="white",
            linestyle="none",
            label="paper",
        )
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.25)
    axes.set_xlim(left=0)  # no FID is below, but an interval of two seeds may be
    labels = cells["measured"].dropna().unique()
    axes.set(xlabel=f"{', '.join(labels) or METRIC.upper()} (lower is better)", ylabel="")
