"""Attention maps: what chosen pixels of an image look at, stage by stage. Grid attention stays inside a tile."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from transgan.config.plan import Plan
from transgan.metrics.samples import quantize, to_numpy
from transgan.models.attention import SelfAttention
from transgan.models.attention_maps import attention_layers, attention_weights
from transgan.report.plots.generators import stage_title, trained_generator
from transgan.report.plots.style import COLOURS, SEQUENTIAL, canvas, panel, wrapped
from transgan.report.titles import run_titles
from transgan.schema import FigureConfig
from transgan.utils.random import RandomStreams

# The pixels whose queries are shown, as shares of the side: the middle, and two off it.
PIXELS = ((0.5, 0.5), (0.25, 0.25), (0.75, 0.4))
NOTE = (
    "Colours: attention of the pixel with the dot, from 0 (dark) to the highest of each map (yellow), averaged over "
    "heads, in the last block of a stage. Grid self-attention is 0 outside the pixel's tile."
)


@dataclass(frozen=True)
class Maps:
    """An image, uint8 (H, W, 3), and per stage the maps of its pixels (pixels, side, side), each of sum 1."""

    image: np.ndarray
    stages: dict[str, np.ndarray]


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """Per run a row for each pixel: the image with the pixel marked, then the last attention of every stage.

    Attention is averaged over heads.
    """
    titles = run_titles(plan, config.runs)
    maps_of = {run: maps(plan, run) for run in config.runs}
    columns = 1 + max(len(each.stages) for each in maps_of.values())
    figure = canvas(plan, config, 0.8 + 1.55 * len(PIXELS) * len(maps_of), 1.5 * columns + 0.6, note=NOTE)
    panels = figure.subplots(len(PIXELS) * len(maps_of), columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for i, (run, each) in enumerate(maps_of.items()):
        side = each.image.shape[0]
        if not each.stages:
            panels[i * len(PIXELS), 0].text(
                0.5, -0.2, "no attention", transform=panels[i * len(PIXELS), 0].transAxes, ha="center"
            )
        for j, pixel in enumerate(PIXELS):
            row = panels[i * len(PIXELS) + j]
            panel(row[0], each.image, wrapped(titles[run], 1.4) if j == 0 else "")
            row[0].plot(
                pixel[1] * side - 0.5,
                pixel[0] * side - 0.5,
                marker="o",
                markersize=6,
                color=COLOURS[1],
                markeredgecolor="white",
            )
            for axes, (name, stage) in zip(row[1:], each.stages.items(), strict=False):
                panel(
                    axes,
                    stage[j],
                    f"{name}, {stage.shape[1]} x {stage.shape[2]}" if j == 0 else "",
                    cmap=SEQUENTIAL,
                    vmin=0,
                )
    return figure


@torch.no_grad()
def maps(plan: Plan, run: str) -> Maps:
    """The last block of every stage, for one latent fixed by the run's seed."""
    module = trained_generator(plan, run)
    streams = RandomStreams(plan.run(run).seed)
    z = streams.normal("figure/attention", 0, 1, module.latent)
    noise = streams.normal("figure/attention/noise", 0, 1, module.noise_width) if module.noise_width else None
    stages: dict[str, np.ndarray] = {}

    def remember(name: str) -> Any:
        return lambda layer, inputs: stages.update({name: _maps(layer, inputs[0], inputs[1], inputs[2])})

    handles = [layer.register_forward_pre_hook(remember(name)) for name, layer in _last_of_each_stage(module).items()]
    try:
        image = to_numpy(quantize(module(z, noise)))[0]
    finally:
        for handle in handles:
            handle.remove()
    return Maps(image, stages)


def _last_of_each_stage(module: nn.Module) -> dict[str, SelfAttention]:
    """`stage 1`, ... -> its last attention."""
    return {stage_title(name): layer for name, layer in attention_layers(module)}


def _maps(layer: SelfAttention, x: torch.Tensor, noise: torch.Tensor | None, band: torch.Tensor | None) -> np.ndarray:
    """(pixels, side, side): attention of the pixels' queries over the whole map, zero outside their tiles."""
    assert layer.pattern is not None
    tiling = layer.pattern.tiling
    weights = attention_weights(layer, x, noise, band).mean(1)  # (tiles, length, length)
    raster = torch.arange(tiling.side**2).view(1, -1, 1)
    order = tiling.to_tiles(raster).flatten()  # position in tile order -> raster index
    place = {int(index): i for i, index in enumerate(order)}
    result = np.zeros((len(PIXELS), tiling.side * tiling.side))
    for i, (row, column) in enumerate(PIXELS):
        tile, query = divmod(place[int(row * tiling.side) * tiling.side + int(column * tiling.side)], tiling.length)
        inside = order[tile * tiling.length : (tile + 1) * tiling.length].numpy()
        result[i, inside] = weights[tile, query].numpy()
    return result.reshape(len(PIXELS), tiling.side, tiling.side)
