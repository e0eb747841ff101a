"""FID against compute: what a run's training costs, counted on its real training step, and the score that it reached."""

import numpy as np
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.cost import counts
from transgan.report.cells import metric_label
from transgan.report.plots import sources
from transgan.report.plots.style import COLOURS, canvas, spread_axis
from transgan.schema import FigureConfig

MARKERS = "osD^vP*"


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """A point per run, with the range over evaluation seeds; an axis is logarithmic where its values are far apart."""
    figure = canvas(plan, config.title, 4.0)
    axes = figure.subplots()
    labels, means, costs = [], [], []
    for i, name in enumerate(config.runs):
        run = plan.run(name)
        counted = counts.counted(plan, run)
        costs.append(counted["total_eflop"] * 1e6)
        values = sources.scores(plan, name)["fid"]["values"]
        label = f"{name} (G {counted['generator_parameters'] / 1e6:.3g}M)"
        axes.errorbar(
            [costs[-1]],
            [np.mean(values)],
            yerr=[[np.mean(values) - min(values)], [max(values) - np.mean(values)]],
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i % len(MARKERS)],
            linestyle="none",
            label=label,
        )
        means.append(float(np.mean(values)))
        labels.append(metric_label("fid", run.protocol.plain()))
    spread_axis(axes, costs, "x")
    spread_axis(axes, means)
    axes.set_xlabel("training compute in TFLOP (a multiply-add is two)")
    axes.set_ylabel(f"{', '.join(dict.fromkeys(labels))} (lower is better)")
    axes.legend(fontsize=7)
    return figure
