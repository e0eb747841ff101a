"""Attention distance: how far queries look, by depth and along training. Convolutions of one layer would all lie at one small distance."""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from transgan.config.plan import Plan
from transgan.report.plots import sources
from transgan.report.plots.style import SEQUENTIAL, canvas
from transgan.schema import FigureConfig


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """Two panels per run: mean distance of each layer along training, and at the end by depth with every head a dot."""
    figure = canvas(plan, config.title, 0.6 + 2.9 * len(config.runs))
    panels = figure.subplots(len(config.runs), 2, squeeze=False)
    for (along, depth), run in zip(panels, config.runs, strict=True):
        records = sources.dynamics(plan, run)
        reach = records["attention_distance"]  # (P, layers, heads)
        layers = reach.shape[1]
        if not layers:
            for axes in (along, depth):
                axes.set_axis_off()
                axes.set_title(f"{run}: no attention")
            continue
        shades = colormaps[SEQUENTIAL](np.linspace(0.0, 0.9, max(layers, 1)))
        images = np.maximum(records["images"], 1)
        for layer in range(layers):
            along.plot(
                images,
                reach[:, layer].mean(1),
                color=shades[layer],
                marker=".",
                label=f"layer {layer + 1}" if layer in (0, layers - 1) else None,
            )
            depth.plot(
                np.full(reach.shape[2], layer + 1),
                reach[-1, layer],
                color=shades[layer],
                marker="o",
                linestyle="none",
                alpha=0.7,
            )
        depth.plot(np.arange(layers) + 1, reach[-1].mean(1), color="black", linewidth=1, label="mean over heads")
        along.set_xscale("symlog", linthresh=float(images[1]) if len(images) > 1 else 1.0)
        along.xaxis.set_major_formatter(EngFormatter(sep=""))
        along.set_title(f"{run}: along training")
        along.set_xlabel("real images shown to the discriminator")
        along.set_ylabel("attention distance in pixels")
        depth.set_title("at the end of training, a dot per head")
        depth.set_xlabel("layer of the generator")
        depth.xaxis.set_major_locator(MaxNLocator(integer=True))
        along.legend()
        depth.legend()
    return figure
