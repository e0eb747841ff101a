"""One look for every figure: colours that colour-blind readers tell apart, one font that matplotlib brings along, and the same bytes each time."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullFormatter

from transgan.config.plan import Plan
from transgan.utils import files

# Okabe and Ito's palette: told apart with every common form of colour blindness, and in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#767676"
# Sequential and diverging maps that keep their order in grey and for colour-blind readers.
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"
INCHES = 7.0

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "pdf.fonttype": 42,
    "image.interpolation": "nearest",
    "svg.hashsalt": "transgan",
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in this style, whatever the user's own matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def canvas(plan: Plan, title: str, height: float, width: float = INCHES, note: str | None = None) -> Figure:
    """An empty figure of so many inches with its title, and under it what scale it is of, and a note."""
    figure = Figure(figsize=(width, height), layout="constrained")
    warning = "" if plan.scale.comparable else "; not comparable with the paper"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    words = f"scale {plan.scale_name}: {plan.scale.description}{warning}" + (f". {note}" if note else "")
    said = textwrap.fill(words, int(width * 19))
    figure.supxlabel(said, x=0.01, ha="left", fontsize=7, color=GREY)
    return figure


def short(number: float) -> str:
    """A count in three digits: 0, 950, 4.35k, 96k, 12.8M."""
    return EngFormatter(sep="")(float(f"{number:.3g}"))


def spread_axis(axes: Axes, values: Sequence[float], which: Literal["x", "y"] = "y") -> None:
    """A logarithmic axis where the values span more than a factor of three, labelled 1, 2, 5, 10; a narrower range reads better linear."""
    if min(values) <= 0 or max(values) <= 3 * min(values):
        return
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value < 1e4 else short(value)))
    axis.set_minor_formatter(NullFormatter())


def picture(axes: Axes, image: Any, title: str = "", **options: Any) -> None:
    """Show an array as a picture: no ticks, hard pixel edges."""
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
