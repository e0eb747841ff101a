"""Anatomy of the gradient leak: a figure and a table of what G's step leaves in D, for several n_critic.

A run is trained in memory once per n_critic, with the leak. Nothing of it is kept but the measurements
(transgan/training/leak_anatomy.py).
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from transgan.config.plan import Plan
from transgan.config.run_changes import with_changed_run
from transgan.errors import UserError
from transgan.report.findings import write_finding
from transgan.report.layout import Layout, Text
from transgan.report.plots import style
from transgan.report.tables import warning

SMOOTHED = 9  # steps of the running median in the figure
NOTES = (
    "leaked and own: norms of the gradient that G's step left in D, and of D's own gradient in the step that it joins, "
    "both before clipping. Medians over these steps, with the 10% and the 90% quantile.",
    "cosine: of the angle between the two. At −1 the leak undoes D's own gradient, at 0 it is unrelated.",
    "kept: length of the sum along D's own gradient, in its lengths: 1 + cosine × leaked / own. Below 0 the step goes "
    "against D's loss. turned: share of these steps in which it does.",
)


def make(plan: Plan, run: str, n_critics: Sequence[int], images: int | None) -> tuple[Path, ...]:
    """Write findings/leak-<run>.csv, .md, .png and .pdf, of the run's first `images` real images, by default of all.

    Raises UserError for an n_critic that no recipe can have, and for more images than the run has.
    """
    from transgan.training.leak_anatomy import measure

    if not n_critics or len(set(n_critics)) < len(n_critics):
        raise UserError("--n-critic: name each number once, for example --n-critic 1,2,3,4,5")
    full = plan.run(run).recipe.images
    shown = full if images is None else images
    if not 0 < shown <= full:
        raise UserError(f"--images {images}: {run} shows {full:,} at scale {plan.scale_name}; name 1 to {full}")
    frames = []
    for n_critic in n_critics:
        settings = [f"recipe.n_critic={n_critic}", "recipe.leak_generator_gradient=true"]
        changed, name = with_changed_run(plan, run, settings, None)
        frames.append(pd.DataFrame(measure(changed, name, shown)).assign(n_critic=n_critic))
    frame = pd.concat(frames, ignore_index=True)
    frame["kept"] = 1 + frame["cosine"] * frame["leaked"] / frame["own"]
    base = plan.paths.finding(f"leak-{run}")
    write_finding(base, frame, lay_out(plan, run, shown, frame))
    with style.theme():
        style.save(draw(frame), base)
    return tuple(base.with_name(f"{base.name}.{suffix}") for suffix in ("csv", "md", "png", "pdf"))


def lay_out(plan: Plan, run: str, images: int, frame: pd.DataFrame) -> Layout:
    """A line per n_critic."""
    lines = {
        f"n_critic {n_critic}": {
            "D steps with a leak": f"{len(part):,}",
            **{name: _spread(part[name]) for name in ("leaked", "own", "cosine", "kept")},
            "turned": f"{(part['kept'] < 0).mean():.0%}",
        }
        for n_critic, part in frame.groupby("n_critic")
    }
    return Layout(
        name=f"leak-{run}",
        title="Anatomy of the gradient leak",
        source=f"{run}, trained once per n_critic on its first {images:,} of {plan.run(run).recipe.images:,} images",
        warning=warning(plan),
        main=pd.DataFrame.from_dict(lines, orient="index").rename_axis(index="Run").map(Text),
        details=None,
        notes=NOTES,
        footnotes=(),
    )


def draw(frame: pd.DataFrame) -> Figure:
    """Size and direction of the leak along training, a colour per n_critic; running medians."""
    figure = Figure(figsize=(style.INCHES, 4.2), layout="constrained")
    size, direction = figure.subplots(2, 1, sharex=True)
    smooth = frame.assign(ratio=frame["leaked"] / frame["own"])
    for column in ("ratio", "cosine"):
        medians = smooth.groupby("n_critic")[column].rolling(SMOOTHED, center=True, min_periods=1).median()
        smooth[column] = medians.droplevel(0)
    palette = dict(zip(sorted(frame["n_critic"].unique()), style.COLOURS, strict=False))
    for axes, column, title in (
        (size, "ratio", "norm of the leaked gradient, in norms of D's own"),
        (direction, "cosine", "cosine of the leaked gradient and D's own"),
    ):
        sns.lineplot(smooth, x="images", y=column, hue="n_critic", palette=palette, legend=column == "ratio", ax=axes)
        axes.set(title=title, ylabel="")
    style.spread_axis(size, smooth["ratio"])
    sns.move_legend(size, "upper left", bbox_to_anchor=(1, 1))
    direction.axhline(0, color=style.GREY, linewidth=0.8)
    direction.set(xlabel="real images shown to D", ylim=(-1.05, 1.05))
    return figure


def _spread(values: pd.Series) -> str:
    low, middle, high = (f"{value:.2f}" for value in values.quantile([0.1, 0.5, 0.9]))
    return f"{middle} [{low}, {high}]".replace("-", "−")
