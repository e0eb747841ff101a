"""FID against compute: what training a run costs, counted on its real training step, and the score that it reached."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.cost import counts
from transgan.report.plots import sources
from transgan.report.plots.style import canvas, plain_numbers, scatter, spread_axis
from transgan.report.titles import run_titles
from transgan.schema import FigureConfig
from transgan.utils.units import short_number

PANEL_INCHES = 4.6


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """A panel per dataset and protocol, because FIDs of different ones do not compare; a point per run.

    Panels of a single run are left out, unless there is nothing else. Bars show the range over evaluation seeds.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for run in map(plan.run, config.runs):
        groups.setdefault((run.dataset_name, run.protocol_name), []).append(run.name)
    drawn = [runs for runs in groups.values() if len(runs) > 1] or list(groups.values())
    titles = run_titles(plan, config.runs)
    figure = canvas(plan, config, 4.6, max(7.0, PANEL_INCHES * len(drawn)))
    for axes, runs in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        scores = sources.scores(plan, runs, "fid")
        counted = {run: counts.counted(plan, plan.run(run)) for run in runs}
        scores["tflop"] = scores["run"].map({run: each["total_eflop"] * 1e6 for run, each in counted.items()})
        scores["label"] = scores["run"].map(
            {
                run: f"{titles[run]}, {short_number(each['generator_parameters'])} parameters in G"
                for run, each in counted.items()
            }
        )
        _draw(axes, scores)
    return figure


def _draw(axes: Axes, scores: pd.DataFrame) -> None:
    """The runs of one panel; an axis is logarithmic where its values are far apart."""
    scatter(axes, scores, x="tflop", y="fid", name="label")
    axes.xaxis.set_major_formatter(plain_numbers())
    spread_axis(axes, scores["tflop"], "x")
    spread_axis(axes, scores.groupby("label")["fid"].mean())
    axes.set_xlabel("training compute in TFLOP (a multiply-add counts as two)")
    axes.set_ylabel(f"{', '.join(scores['fid_label'].unique())} (lower is better)")
    axes.legend(title=None, loc="lower left", bbox_to_anchor=(0, 1.02))
