"""Attention distance: how far queries look, by depth and along training. A convolution looks as far as its kernel."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from transgan.config.plan import Plan
from transgan.report.plots import sources
from transgan.report.plots.style import SEQUENTIAL, canvas, images_axis
from transgan.report.titles import run_titles
from transgan.schema import FigureConfig


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """Two panels per run: mean distance of each layer along training, and at the end by depth with every head a dot."""
    figure = canvas(plan, config, 0.6 + 2.9 * len(config.runs))
    panels = figure.subplots(len(config.runs), 2, squeeze=False)
    for (along, depth), (run, title) in zip(panels, run_titles(plan, config.runs).items(), strict=True):
        distances = _distances(plan, run)
        if distances.empty:
            for axes in (along, depth):
                axes.set_axis_off()
                axes.set_title(f"{title}: no attention")
            continue
        _draw_along(along, distances)
        along.set_title(title)
        _draw_depth(depth, distances[distances["images"] == distances["images"].max()])
    return figure


def _distances(plan: Plan, run: str) -> pd.DataFrame:
    """A line per moment, layer and head: `images`, `layer` and `head` from 1 on, `distance` in pixels."""
    records = sources.dynamics(plan, run)
    distances = records["attention_distance"]  # (P, layers, heads)
    moment, layer, head = np.indices(distances.shape).reshape(3, -1)
    return pd.DataFrame(
        {"images": records["images"][moment], "layer": layer + 1, "head": head + 1, "distance": distances.ravel()}
    )


def _draw_along(axes: Axes, distances: pd.DataFrame) -> None:
    """The mean over heads of each layer."""
    moments = np.unique(distances["images"])
    axes.set_xscale("symlog", linthresh=float(moments[1]) if len(moments) > 1 else 1.0)
    sns.lineplot(
        distances,
        x="images",
        y="distance",
        **_coloured(distances),
        marker="o",
        markersize=4,
        markeredgewidth=0,
        errorbar=None,
        legend="full",
        ax=axes,
    )
    axes.legend(title="layer", ncols=2, loc="upper left", bbox_to_anchor=(1.0, 1.02))
    axes.set_ylabel("attention distance in pixels")
    images_axis(axes)


def _draw_depth(axes: Axes, distances: pd.DataFrame) -> None:
    """Every head a dot, and the mean over heads of each layer."""
    sns.scatterplot(distances, x="layer", y="distance", **_coloured(distances), alpha=0.7, legend=False, ax=axes)
    sns.lineplot(
        distances, x="layer", y="distance", color="black", linewidth=1, errorbar=None, label="mean over heads", ax=axes
    )
    axes.set(title="at the end of training, a dot per head", xlabel="layer of the generator", ylabel="")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _coloured(distances: pd.DataFrame) -> dict[str, Any]:
    """A colour by depth; the palest tenth of the map is left out."""
    layers = distances["layer"].max()
    return {"hue": "layer", "palette": SEQUENTIAL, "hue_norm": (1, 1 + max(layers - 1, 1) / 0.9)}
