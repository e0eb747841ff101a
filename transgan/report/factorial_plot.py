"""Figure of a factorial design: effects with intervals, and Shapley values beside what one order of adding gives."""

from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transgan.report.plots import style
from transgan.utils.escape import plot_text

LINE_INCHES = 0.21  # of an effect's line


def draw(frame: pd.DataFrame) -> Figure:
    """Two panels for each column and metric. `frame` is that of `transgan.report.factorial.analysis`."""
    places = [part for _, part in frame.groupby(["column", "metric"], sort=False)]
    effects = max((part["kind"] == "effect").sum() for part in places)
    figure = Figure(figsize=(style.INCHES * 1.4, len(places) * (LINE_INCHES * effects + 1.2)), layout="constrained")
    grid = figure.subplots(len(places), 2, squeeze=False, width_ratios=(1.1, 1))
    for (left, right), part in zip(grid, places, strict=True):
        name = f"{part['column'].iloc[0]}, {part['measured'].iloc[0]}"
        _draw_effects(left, part[part["kind"] == "effect"], name)
        _draw_shares(right, part[part["kind"] == "shapley"])
    figure.legend(*grid[0][1].get_legend_handles_labels(), loc="outside lower right", ncols=3)
    return figure


def _draw_effects(axes: Axes, effects: pd.DataFrame, name: str) -> None:
    """A line per effect, with a colour for the number of factors in it."""
    placed = effects.reset_index(drop=True)
    for colour, (_, part) in zip(cycle(style.COLOURS), placed.groupby("factors"), strict=False):
        axes.errorbar(
            part["value"],
            part.index,
            xerr=[part["value"] - part["low"], part["high"] - part["value"]],
            fmt="o",
            markersize=4,
            color=colour,
            elinewidth=1.2,
        )
    _lines(axes, list(effects["term"]))
    axes.set(title=plot_text(f"{name}: effects, 95%"))


def _draw_shares(axes: Axes, shares: pd.DataFrame) -> None:
    """A line per factor: all orders, the mean over them, and the order of the table."""
    places = range(len(shares))
    axes.hlines(places, shares["least"], shares["most"], color="#CCCCCC", linewidth=7, label="all orders of adding")
    axes.errorbar(
        shares["value"],
        places,
        xerr=[shares["value"] - shares["low"], shares["high"] - shares["value"]],
        fmt="o",
        markersize=4,
        color=style.COLOURS[0],
        elinewidth=1.2,
        label="mean over orders (Shapley value), 95%",
    )
    axes.plot(
        shares["added"],
        places,
        "D",
        markersize=6,
        markerfacecolor="none",
        color=style.COLOURS[1],
        label="added from top to bottom",
    )
    _lines(axes, list(shares["term"]))
    axes.set(title="what each factor adds")


def _lines(axes: Axes, names: list[str]) -> None:
    axes.axvline(0, color=style.GREY, linewidth=0.8)
    axes.set_yticks(range(len(names)), [plot_text(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
