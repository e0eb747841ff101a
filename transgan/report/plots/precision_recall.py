"""Precision and recall: do samples look like images, and do they cover them; bars span the evaluation seeds."""

from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.report.plots import sources
from transgan.report.plots.style import canvas, scatter
from transgan.report.titles import run_titles
from transgan.schema import FigureConfig

MARGIN = 0.04  # points at 0 or 1 are seen whole


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """A point per run. Raises UserError for a run whose protocol does not measure precision and recall."""
    figure = canvas(plan, config, 7.4)
    axes = figure.subplots()
    scores = sources.scores(plan, config.runs, "precision", "recall").dropna()
    for run in config.runs:
        if run not in set(scores["run"]):
            raise UserError(
                f"{plan.file}: figures: {run} has no precision and recall; give its protocol the metric prc"
            )
    means = scores.groupby("run")[["precision", "recall"]].mean()
    # Runs may lie on one another, so the legend has the numbers.
    titles = run_titles(plan, config.runs)
    scores["label"] = [
        f"{titles[run]}: {means.loc[run, 'precision']:.2f}, {means.loc[run, 'recall']:.2f}" for run in scores["run"]
    ]
    scatter(axes, scores, x="recall", y="precision", name="label")
    limits = (-MARGIN, 1 + MARGIN)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    for metric, set_label in (("recall", axes.set_xlabel), ("precision", axes.set_ylabel)):
        labels = scores[f"{metric}_label"].str.lower().unique()
        set_label(f"{', '.join(labels)} (higher is better)")
    axes.legend(title="precision, recall", loc="lower left", bbox_to_anchor=(0, 1.02))
    return figure
