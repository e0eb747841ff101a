"""Bars: FID of a table's rows, beside the paper's where the scale compares; one panel per dataset."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.report.cells_frame import cells_frame
from transgan.report.plots.style import COLOURS, GREY, canvas
from transgan.schema import FigureConfig

METRIC = "fid"


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """A panel per column of the table with two or more rows; a bar for each cell whose runs the figure names.

    Open circles are the paper's numbers.
    """
    assert config.table is not None
    cells = cells_frame(plan, config.table)
    cells = cells[(cells["metric"] == METRIC) & cells["run"].notna()]
    named = cells["run"].isin(config.runs).groupby([cells["column"], cells["row"]]).transform("all")
    cells = cells[named]
    rows = cells.groupby("column", sort=False)["row"].nunique()
    titles = [column.title for column in plan.table(config.table).columns if rows.get(column.title, 0) > 1]
    figure = canvas(plan, config.title, 1.2 + 0.34 * max(rows, default=1), note=plan.table(config.table).note)
    for axes, title in zip(figure.subplots(1, max(len(titles), 1), squeeze=False)[0], titles, strict=False):
        _draw(axes, cells[cells["column"] == title], plan.scale.comparable)
        axes.set_title(title)
    return figure


def _draw(axes: Axes, cells: pd.DataFrame, compare: bool) -> None:
    """A bar per row: the mean over training seeds, with the spread that the table prints."""
    rows = cells.drop_duplicates("row")
    sns.barplot(rows, x="mean", y="row", color=COLOURS[0], saturation=1, width=0.6, label="ours", legend=False, ax=axes)
    spread = rows["std_training"].fillna(rows["std_evaluation"]).fillna(0.0)
    axes.errorbar(rows["mean"], rows["row"], xerr=spread, fmt="none", ecolor="black", elinewidth=1.2)
    for position, mean in enumerate(rows["mean"]):
        words = "  not run" if pd.isna(mean) else f"  {mean:.2f}"
        axes.text(0.0 if pd.isna(mean) else mean, position, words, va="center", fontsize=8)
    if compare:
        sns.scatterplot(
            rows, x="paper", y="row", facecolor="none", edgecolor=GREY, linewidth=1.2, label="paper", ax=axes
        )
        axes.legend(loc="lower right")
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.18)
    labels = cells["measured"].dropna().unique()
    axes.set(xlabel=f"{', '.join(labels) or METRIC.upper()} (lower is better)", ylabel="")
