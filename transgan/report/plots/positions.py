"""Relative position tables: the bias that each head learnt for every offset of query and key (docs/paper.md 3.4)."""

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.models.attention_maps import attention_layers
from transgan.report.plots.generators import stage_title, trained_generator
from transgan.report.plots.style import DIVERGING, canvas, wrapped
from transgan.report.titles import run_titles
from transgan.schema import FigureConfig

NOTE = (
    "Each square is an offset in tokens, query minus key: rows downwards, columns to the right. Colours: the bias that "
    "attention adds before its softmax, in the first block of a stage; each row of panels has its own range."
)


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """A row per run and stage (its first attention), a column per head.

    Colours are centred on no bias and scaled per row.
    """
    titles = run_titles(plan, config.runs)
    rows = [(run, name, table) for run in config.runs for name, table in tables(plan, run).items()]
    heads = max((table.shape[2] for _, _, table in rows), default=1)
    figure = canvas(plan, config, 0.7 + 1.75 * max(len(rows), 1), 1.6 * heads + 1.4, note=NOTE)
    panels = figure.subplots(max(len(rows), 1), heads, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for row, (run, name, table) in zip(panels, rows, strict=False):
        limit = float(np.abs(table).max()) or 1.0
        look: dict[str, Any] = {"vmin": -limit, "vmax": limit, "cmap": DIVERGING, "square": True, "rasterized": True}
        for head, axes in enumerate(row[: table.shape[2]]):
            sns.heatmap(table[:, :, head], cbar=False, xticklabels=False, yticklabels=False, ax=axes, **look)
            axes.set_axis_on()
            _name_offsets(axes, *table.shape[:2])
            axes.set_title(f"head {head + 1}", fontsize=8)
        row[0].set_ylabel(f"{wrapped(titles[run], 1.5)}\n{name}\nrows", fontsize=8)
        bar = figure.colorbar(row[0].collections[0], ax=list(row), shrink=0.8)
        bar.set_label("bias", fontsize=8)
        bar.outline.set_linewidth(0.8)
        bar.ax.tick_params(labelsize=8)
    return figure


def _name_offsets(axes: Axes, rows: int, columns: int) -> None:
    """Ticks at the lowest offset, at 0 and at the highest, in tokens."""
    for count, set_ticks in ((columns, axes.set_xticks), (rows, axes.set_yticks)):
        furthest = count // 2
        set_ticks([0.5, count / 2, count - 0.5], [f"\N{MINUS SIGN}{furthest}", "0", f"{furthest}"], fontsize=7)
    axes.tick_params(length=2)
    axes.set_xlabel("columns", fontsize=8)


def tables(plan: Plan, run: str) -> dict[str, np.ndarray]:
    """Stage -> bias (2 height - 1, 2 width - 1, heads) by offset, query minus key; empty without relative positions."""
    biases: dict[str, np.ndarray] = {}
    for name, layer in attention_layers(trained_generator(plan, run)):
        stage = stage_title(name)
        if layer.relative_table is None or layer.pattern is None or stage in biases:
            continue
        tiling = layer.pattern.tiling
        biases[stage] = (
            layer.relative_table.detach().numpy().reshape(2 * tiling.height - 1, 2 * tiling.width - 1, layer.heads)
        )
    return biases
