"""Learning curves: FID, critic gap and losses over real images shown, and the authors' own curve if it compares."""

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.report.cells import metric_label
from transgan.report.paper_numbers import authors_curve
from transgan.report.plots import sources
from transgan.report.plots.style import GREY, canvas, colours, images_axis, spread_axis
from transgan.report.titles import run_titles
from transgan.schema import FigureConfig

# The authors evaluated the end of their run some 35 times and got 10.82 to 11.06 (docs/paper.md 2): about this noise.
AUTHORS_NOISE = 0.1
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
    images_axis(loss)
    return figure


def _draw_fid(axes: Axes, plan: Plan, runs: tuple[str, ...]) -> None:
    """Small-sample FID along training where the recipe measures it, the score at the end, and the authors' curve."""
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
    """Draw the authors' log (EMA weights), with the noise of their evaluation as bars, and return its FIDs.

    There are no points between 4.5 and 9.7 million images, so no line joins them.
    """
    fids = []
    for dataset in sorted(datasets):
        points = authors_curve(dataset)
        fids += [point.fid for point in points]
        if points:
            axes.errorbar(
                [point.images for point in points],
                [point.fid for point in points],
                yerr=AUTHORS_NOISE,
                color=GREY,
                marker="x",
                linestyle="none",
                label="authors' own log (issue 40)",
            )
            axes.legend()
    return fids
