"""Learning curves: FID, critic gap and losses over real images shown; the authors' own curve beside them where the scale compares."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from transgan.config.plan import Plan
from transgan.report.cells import metric_label
from transgan.report.paper_numbers import curve
from transgan.report.plots import sources
from transgan.report.plots.style import COLOURS, GREY, canvas, spread_axis
from transgan.schema import FigureConfig

# The authors evaluated the end of their run some 35 times: 10.82 to 11.06 (paper.md, section 2), an evaluation noise of about this.
AUTHORS_NOISE = 0.1


def draw(plan: Plan, config: FigureConfig) -> Figure:
    """FID above, the critic's gap and the losses below; one colour per run."""
    figure = canvas(plan, config.title, 6.6)
    fid, gap, loss = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    for colour, run in zip(COLOURS, config.runs, strict=False):
        _draw_fid(fid, plan, run, colour)
        _draw_losses(gap, loss, plan, run, colour)
    if plan.scale.comparable:
        _draw_authors(fid, {plan.run(run).dataset_name for run in config.runs})
    fid.set_title(_fid_title(plan, config))
    values = [float(value) for line in fid.get_lines() for value in np.asarray(line.get_ydata())]
    if values:
        spread_axis(fid, values)
    gap.set_title("critic gap: mean D(real) − mean D(fake)")
    loss.set_title("losses (solid: discriminator, dashed: generator)")
    loss.set_xlabel("real images shown to the discriminator")
    loss.xaxis.set_major_formatter(EngFormatter(sep=""))
    if fid.has_data():
        fid.legend()
    return figure


def _draw_fid(axes: Axes, plan: Plan, run: str, colour: str) -> None:
    """Small-sample FID along training where the recipe asks for it, and the score at the end."""
    records = sources.dynamics(plan, run)
    known = np.isfinite(records["fid"])
    if known.any():
        samples = plan.run(run).recipe.dynamics.fid_samples
        axes.plot(
            records["images"][known],
            records["fid"][known],
            color=colour,
            marker=".",
            label=f"{run}, {samples:,} samples",
        )
    found = sources.scores(plan, run)
    if "fid" in found:
        values = found["fid"]["values"]
        end = records["images"][-1]
        axes.errorbar(
            [end],
            [np.mean(values)],
            yerr=[[np.ptp(values) / 2]],
            color=colour,
            marker="D",
            label=f"{run}, scored: {np.mean(values):.2f}",
            linestyle="none",
        )


def _draw_losses(gap: Axes, loss: Axes, plan: Plan, run: str, colour: str) -> None:
    rows = sources.history(plan, run)
    gap.plot(rows["images"], rows["gap"], color=colour, label=run)
    for column, line in (("d_loss", "-"), ("g_loss", "--")):
        known = np.isfinite(rows[column])
        loss.plot(rows["images"][known], rows[column][known], color=colour, linestyle=line)


def _draw_authors(axes: Axes, datasets: set[str]) -> None:
    """The authors' log, EMA weights, with the noise of their evaluation as a band; its gap (4.5 to 9.7 million images) is not bridged."""
    for dataset in sorted(datasets):
        points = curve(dataset)
        if points:
            images, fid = np.array([point.images for point in points]), np.array([point.fid for point in points])
            axes.errorbar(
                images,
                fid,
                yerr=AUTHORS_NOISE,
                color=GREY,
                marker="x",
                linestyle="none",
                label="authors' own log (issue 40)",
            )


def _fid_title(plan: Plan, config: FigureConfig) -> str:
    labels = dict.fromkeys(metric_label("fid", plan.run(run).protocol.plain()) for run in config.runs)
    return f"{', '.join(labels)} (lower is better)"
