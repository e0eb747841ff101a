"""Learning curves: FID, critic gap and losses over real images shown, and the authors' own curve if it compares."""

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.metrics.authors_curve import EVALUATION_NOISE, authors_curve, position
from transgan.report.cells import metric_label
from transgan.report.plots import sources
from transgan.report.plots.style import GREY, canvas, colours, images_axis, spread_axis
from transgan.report.titles import run_titles
from transgan.schema import FigureConfig

BAND_POINTS = 200
# Seaborn's name for bars from the lowest to the highest value.
EVERY_SEED = ("pi", 100)


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """FID above, the critic gap and the losses below; a colour per run."""
    figure = canvas(plan, config, 6.6)
    fid, gap, loss = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    _draw_fid(fid, plan, config.runs)
    rows = sources.histories(plan, config.runs)
    sns.lineplot(
        rows, x="images", y="gap", hue="run", palette=colours(config.runs), errorbar=None, legend=False, ax=gap
    )
    gap.set(title="critic gap: mean D(real) − mean D(fake)", ylabel="")
    losses = rows.rename(columns={"d_loss": "discriminator", "g_loss": "generator"}).melt(
        ["run", "images"], ["discriminator", "generator"], var_name="network", value_name="loss"
    )
    sns.lineplot(
        losses.dropna(),
        x="images",
        y="loss",
        hue="run",
        palette=colours(config.runs),
        style="network",
        errorbar=None,
        ax=loss,
    )
    handles, names = loss.get_legend_handles_labels()
    loss.legend(handles[-2:], names[-2:])  # the two networks; the runs' colours are explained above
    loss.set(title="losses", ylabel="")
    if _log_images(plan, config.runs):
        loss.set_xscale("log")
    images_axis(loss)
    return figure


def _draw_fid(axes: Axes, plan: Plan, runs: tuple[str, ...]) -> None:
    """FID along training where the recipe measures it, the score at the end, and the authors' curve."""
    along, end = sources.fid_along_training(plan, runs), sources.scores(plan, runs, "fid")
    titles = run_titles(plan, runs)
    for run, colour in colours(runs).items():
        inside, scored = along[along["run"] == run], end[end["run"] == run]
        if not inside.empty:
            samples = plan.run(run).recipe.dynamics.fid_samples
            label = f"{titles[run]}, {samples:,} samples"
            sns.lineplot(inside, x="images", y="fid", color=colour, marker="o", label=label, ax=axes)
        if not scored.empty:
            label = f"{titles[run]}, scored: {scored['fid'].mean():.2f}"
            sns.lineplot(
                scored,
                x="images",
                y="fid",
                color=colour,
                marker="D",
                markersize=7,
                errorbar=EVERY_SEED,
                err_style="bars",
                linestyle="none",
                label=label,
                ax=axes,
            )
    drawn = [*along["fid"], *end["fid"]]
    labels = dict.fromkeys(metric_label("fid", plan.run(run).protocol.plain()) for run in runs)
    axes.set(title=f"{', '.join(labels)} (lower is better)", ylabel="")
    if plan.scale.comparable:
        drawn += _draw_authors(axes, {plan.run(run).dataset_name for run in runs})
    spread_axis(axes, drawn)


def _draw_authors(axes: Axes, datasets: set[str]) -> list[float]:
    """Draw the authors' log (EMA weights), and the band in which a run counts as on their curve; return their FIDs.

    The bars are the noise of their evaluation. No point is known between 4.5 and 9.7 million images, so the band is
    wider there (transgan.metrics.authors_curve.position).
    """
    fids = []
    for dataset in sorted(datasets):
        points = authors_curve(dataset)
        fids += [point.fid for point in points]
        if points:
            counts = np.geomspace(points[0].images, points[-1].images, BAND_POINTS).astype(int)
            band = [found for count in counts if (found := position(dataset, int(count), 1.0))]
            axes.fill_between(
                [each.images for each in band],
                [each.authors - each.allowed for each in band],
                [each.authors + each.allowed for each in band],
                color=GREY,
                alpha=0.2,
                linewidth=0,
                label="counts as on their curve",
            )
            axes.errorbar(
                [point.images for point in points],
                [point.fid for point in points],
                yerr=EVALUATION_NOISE,
                color="black",
                marker="x",
                markersize=5,
                linestyle="none",
                label="authors' own log (issue 40)",
                zorder=3,
            )
            # Under the panel: the curves leave no corner free that is wide enough.
            axes.legend(loc="upper left", bbox_to_anchor=(0, -0.05), ncols=2, columnspacing=1, borderaxespad=0)
    return fids


def _log_images(plan: Plan, runs: Sequence[str]) -> bool:
    """Whether runs go on so far beyond the authors' log that it needs a logarithmic axis of images."""
    last = max((point.images for run in runs for point in authors_curve(plan.run(run).dataset_name)), default=0.0)
    return plan.scale.comparable and any(0 < 3 * last < plan.run(run).recipe.images for run in runs)
