"""FID against compute: what training a run costs, counted on its real training step, and the score that it reached."""

from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.cost import counts
from transgan.report.plots import sources
from transgan.report.plots.style import canvas, scatter, spread_axis
from transgan.schema import FigureConfig


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """A point per run, with the range over evaluation seeds; an axis is logarithmic where its values are far apart."""
    figure = canvas(plan, config.title, 4.0)
    axes = figure.subplots()
    scores = sources.scores(plan, config.runs, "fid")
    counted = {run: counts.counted(plan, plan.run(run)) for run in config.runs}
    scores["tflop"] = scores["run"].map({run: each["total_eflop"] * 1e6 for run, each in counted.items()})
    scores["label"] = scores["run"].map(
        {run: f"{run} (G {each['generator_parameters'] / 1e6:.3g}M)" for run, each in counted.items()}
    )
    scatter(axes, scores, x="tflop", y="fid", name="label")
    spread_axis(axes, scores["tflop"], "x")
    spread_axis(axes, scores.groupby("label")["fid"].mean())
    axes.set_xlabel("training compute in TFLOP (a multiply-add counts as two)")
    axes.set_ylabel(f"{', '.join(scores['fid_label'].unique())} (lower is better)")
    axes.legend(title=None)
    return figure
