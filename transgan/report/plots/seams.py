"""Seams between tiles, distance of the power spectrum and attention distance along training; spectra at the end."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from scipy.stats import gmean

from transgan.report.plots.style import COLOURS, GREY, INCHES, images_axis, plain_numbers

REAL = "real images"  # the line of as many real images as there are samples
DATA = "data"  # that of the training images


def draw(seams: pd.DataFrame, spectra: pd.DataFrame) -> Figure:
    """Four panels, a colour per form of attention: the mean over training seeds, and a band from lowest to highest.

    Means of seams are geometric, as in the table, since they are ratios.
    """
    real, ours = (seams[(seams["line"] == REAL) == chosen] for chosen in (True, False))
    names = [str(name) for name in ours["line"].unique()]
    look: dict[str, Any] = {
        "hue": "line",
        "hue_order": names,
        "palette": dict(zip(names, [COLOURS[i % len(COLOURS)] for i in range(len(names))], strict=True)),
        "errorbar": ("pi", 100),
    }
    figure = Figure(figsize=(INCHES, 5.6), layout="constrained")
    (seam, distance), (attention, spectrum) = figure.subplots(2, 2)
    style = "tile" if ours["tile"].nunique() > 1 else None
    _along(seam, ours, "seams", "seams, 1: as real images", style=style, estimator=gmean, **look)
    seam.axhline(1, color=GREY, linewidth=0.8)
    one = ours[ours["tile"] == ours["tile"].min()]
    _along(distance, one, "spectral_distance", "distance of the spectrum to the data's, dB", **look)
    distance.axhline(real["spectral_distance"].iloc[0], color=GREY, linewidth=0.8, linestyle="--")
    _along(attention, one, "attention_distance", "attention distance in the last stage, pixels", **look)
    _draw_spectra(spectrum, spectra, look)
    handles, labels = seam.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    for axes in (seam, distance, attention):
        if axes.get_legend() is not None:
            axes.get_legend().remove()
    return figure


def _along(axes: Axes, frame: pd.DataFrame, column: str, title: str, **look: Any) -> None:
    """One measure along training."""
    moments = sorted(frame["images"].unique())
    linear = float(moments[1]) if len(moments) > 1 else 1.0
    axes.set_xscale("symlog", linthresh=linear)
    sns.lineplot(frame, x="images", y=column, marker="o", markersize=4, markeredgewidth=0, ax=axes, **look)
    axes.set_xlim(-linear / 10, 1.1 * moments[-1])
    axes.set(title=title, ylabel="")
    images_axis(axes)
    if column == "seams":
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        # Ticks at 0.5, 1, 2 are far enough apart for their labels; a narrow range may have none of them.
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 3 * low else MaxNLocator(5))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(plain_numbers())


def _draw_spectra(axes: Axes, spectra: pd.DataFrame, look: dict[str, Any]) -> None:
    """Radial power spectra at the end of training, and the data's in black."""
    last = spectra[spectra["images"] == spectra.groupby("run")["images"].transform("max")]
    ours = last[~last["line"].isin([REAL, DATA])]
    sns.lineplot(ours, x="frequency", y="power", ax=axes, legend=False, **look)
    data = spectra[spectra["line"] == DATA]
    axes.plot(data["frequency"], data["power"], color="black", linestyle="--", label=DATA)
    axes.legend()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title="power at the end of training, dB", xlabel="cycles per side of the image", ylabel="")
