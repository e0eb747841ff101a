"""One look for every figure: seaborn's theme with a palette for colour-blind readers, and reproducible files."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullFormatter, NullLocator

from transgan.config.plan import Plan
from transgan.schema import FigureConfig
from transgan.utils import files
from transgan.utils.escape import plot_text
from transgan.utils.units import short_number

# Okabe and Ito's palette: told apart with every common form of colour blindness, and in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#767676"
MARKERS = "osD^vP*"  # drawn hollow, so that points on one another are all seen
# Sequential and diverging maps that keep their order in grey and for colour-blind readers.
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
INCHES = 7.0
# Of a logarithmic axis so short that fewer than two of the usual labels fall on it.
FINER_LABELS = (1, 2, 3, 5, 7)

_THEME: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": "black",
    "axes.labelcolor": "black",
    "text.color": "black",
    "xtick.color": "black",
    "ytick.color": "black",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 3.5,
    "ytick.major.size": 3.5,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "pdf.fonttype": 42,
    "image.interpolation": "auto",  # hard pixel edges, but smooth where an image is drawn smaller than it is
    "svg.hashsalt": "transgan",
}


@contextmanager
def theme() -> Iterator[None]:
    """Draw in this project's theme, whatever the user's own matplotlibrc says; afterwards matplotlib is as it was."""
    with mpl.rc_context():
        mpl.rcdefaults()
        # DejaVu Sans comes with matplotlib, so that every machine has it.
        sns.set_theme(style="ticks", palette=COLOURS, font="DejaVu Sans", rc=_THEME)
        yield


def canvas(plan: Plan, config: FigureConfig, height: float, width: float = INCHES, note: str | None = None) -> Figure:
    """An empty figure of so many inches, with its title; at the bottom what it stands for, the scale, and a note."""
    figure = Figure(figsize=(width, height), layout="constrained")
    warning = "" if plan.scale.comparable else "; not comparable with the paper"
    figure.suptitle(plot_text(config.title), x=0.01, ha="left", fontsize=11, fontweight="bold")
    words = f"{config.source}. Scale {plan.scale_name}: {plan.scale.description}{warning}."
    words += f" {note}" if note else ""
    figure.supxlabel(plot_text(textwrap.fill(words, int(width * 19))), x=0.01, ha="left", fontsize=7, color=GREY)
    return figure


def wrapped(title: str, inches: float) -> str:
    """The title of a panel, broken into lines that fit its width."""
    kept = re.sub(r" (?=x \d|\d)|(?<=x) (?=\d)", "\N{NO-BREAK SPACE}", title)  # in `8 x 8` and `CelebA 64`
    return textwrap.fill(kept, max(int(inches * 16), 12))


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, in order; after seven names they begin again."""
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def images_axis(axes: Axes) -> None:
    """The axis of training: real images shown to the discriminator, as 0, 20k, 4M."""
    axes.set_xlabel("real images shown to the discriminator")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def plain_numbers() -> FuncFormatter:
    """Labels of an axis as 0.02, 20, 20k, 4M, never with an offset or a power of ten beside the axis."""
    return FuncFormatter(lambda value, _: f"{value:g}" if value < 1e4 else short_number(value))


def spread_axis(
    axes: Axes, values: Sequence[float] | pd.Series, which: Literal["x", "y"] = "y", labels: Sequence[float] = (1, 2, 5)
) -> None:
    """A logarithmic axis if values span more than a factor of three, with `labels` in each decade."""
    if len(values) == 0 or min(values) <= 0 or max(values) <= 3 * min(values):
        return
    lowest, highest = min(values), max(values)
    ticks = (10.0**decade * label for decade in range(-9, 10) for label in labels)
    if sum(lowest <= tick <= highest for tick in ticks) < 2:
        labels = FINER_LABELS
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=labels, numticks=20))
    axis.set_major_formatter(plain_numbers())
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def scatter(axes: Axes, values: pd.DataFrame, x: str, y: str, name: str) -> None:
    """A point at the mean of each `name`, with bars from its lowest to its highest value.

    `values` is tidy: a line per name and evaluation seed, in the order of the legend.
    """
    names = list(values[name].unique())
    means = values.groupby(name, sort=False)[[x, y]].mean()
    for label, colour in colours(names).items():
        inside = values[values[name] == label]
        axes.errorbar(
            inside[x].mean(),
            inside[y].mean(),
            xerr=_range(inside[x]),
            yerr=_range(inside[y]),
            fmt="none",
            ecolor=colour,
            elinewidth=1.2,
        )
    sns.scatterplot(
        means.reset_index(),
        x=x,
        y=y,
        hue=name,
        style=name,
        palette=colours(names),
        markers={label: MarkerStyle(MARKERS[i % len(MARKERS)], "none") for i, label in enumerate(names)},
        s=45,
        linewidth=1.2,
        ax=axes,
    )
    points = axes.collections[-1]
    points.set(edgecolor=points.get_facecolor(), facecolor="none")


def _range(values: pd.Series) -> list[list[float]]:
    """Distance of the lowest and highest value from the mean, for matplotlib's errorbar.

    Rounding must not make it negative.
    """
    mean = values.mean()
    return [[max(mean - values.min(), 0.0)], [max(values.max() - mean, 0.0)]]


def panel(axes: Axes, image: Any, title: str = "", **options: Any) -> None:
    """Show an array as an image: no ticks."""
    axes.imshow(image, **options)
    axes.set_axis_off()
    if title:
        axes.set_title(title, fontsize=8)


def save(figure: Figure, base: Path) -> None:
    """Write <base>.png and <base>.pdf without dates or names of software, so that the same figure is the same bytes."""
    for suffix, metadata in (
        ("png", {"Software": None}),
        ("pdf", {"CreationDate": None, "Creator": None, "Producer": None}),
    ):
        with files.atomic(base.with_name(f"{base.name}.{suffix}")) as temporary:
            figure.savefig(temporary, format=suffix, metadata=metadata)
