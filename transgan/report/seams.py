"""Seams and spectra along training: a figure and tables of a run with tiles beside other forms of self-attention.

All is measured on the samples of fixed latents in the runs' dynamics.npz, beside the attention distances of the same
moments. Nothing is trained, and nothing new is recorded.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from transgan.config.attention_forms import form, same_but_for_attention, tile_sides
from transgan.config.plan import Plan, Run
from transgan.data.pack import open_pack
from transgan.errors import UserError
from transgan.metrics.seams import GradientEnergy, gradient_energy, seam_ratio
from transgan.metrics.spectrum import decibels, radial_spectrum, spectral_distance
from transgan.metrics.subsets import evenly_spaced
from transgan.report.cells_frame import csv_text
from transgan.report.findings import write_finding
from transgan.report.layout import BLANK, Layout, Text
from transgan.report.plots import seams as plot
from transgan.report.plots import sources, style
from transgan.report.plots.seams import DATA, REAL
from transgan.report.seed_statistics import paired_difference
from transgan.report.tables import bracket, warning
from transgan.schema.model import TransformerGenerator
from transgan.utils import files

REAL_IMAGES = 2000  # evenly spaced over the training images
NOTES = (
    "seams: squared difference of neighbouring pixels across the borders of tiles over that inside tiles, divided by "
    "the same of the training images. 1 is as in these. All forms are measured at the borders of {run}'s tiles.",
    "Noise without structure has {noise}, as the training images' own gradients are not the same everywhere. Samples "
    "that are still noise are near that, so compare forms at the same moment.",
    "against {base}: the quotient of two seam ratios of one training seed. Other causes of seams, such as the borders "
    "of upsampled tokens, are in both.",
    "spectrum: root mean square, over all radial frequencies, of the difference in dB from the power spectrum of the "
    "training images. {floor:.2f} dB is that of as many real images as there are samples.",
    "Means over training seeds, of ratios geometric, with 95% intervals (Student's t). With one seed: a bootstrap over "
    "images, which does not know how much seeds differ.",
)


def make(plan: Plan, run: str, beside: Sequence[str] = ()) -> tuple[Path, ...]:
    """Write findings/seams-<run>.csv, .md, .png and .pdf, and seams-<run>-spectra.csv; return their paths.

    Compared are the scheduled runs that differ from `run` in nothing but the form of attention and the seed, and those
    of `beside`. Raises UserError if `run` has no tiles, if a run has other data, or if it is not trained.
    """
    runs = tuple(dict.fromkeys((*same_but_for_attention(plan, run), *beside)))
    tiles = tile_sides(plan.run(run))
    if not tiles:
        raise UserError(f"{run}: its generator has no tiles; name a run with `attention: grid` and two tiles or more")
    for other in runs:
        if plan.run(other).dataset_name != plan.run(run).dataset_name:
            raise UserError(f"{other}: is of another dataset than {run}; name runs of {plan.run(run).dataset_name}")
    seams, spectra = measure(plan, lines(plan, runs), tiles)
    base = plan.paths.finding(f"seams-{run}")
    write_finding(base, seams, lay_out(plan, run, seams))
    of_spectra = base.with_name(f"{base.name}-spectra.csv")
    files.write_text(of_spectra, csv_text(spectra))
    with style.theme():
        style.save(plot.draw(seams, spectra), base)
    return (*(base.with_name(f"{base.name}.{suffix}") for suffix in ("csv", "md", "png", "pdf")), of_spectra)


def lines(plan: Plan, runs: Sequence[str]) -> dict[str, list[str]]:
    """Names of lines in the figure, and the runs of each, which differ in the seed only.

    A line is named by its form of attention; where two lines share it, by their first run, too.
    """
    groups: dict[str, list[str]] = {}
    for name in runs:
        groups.setdefault(str([plan.run(name).model.plain(), plan.run(name).recipe.plain()]), []).append(name)
    forms = [form(plan.run(members[0])) for members in groups.values()]
    shared = Counter(forms)
    return {
        each if shared[each] == 1 else f"{each} ({members[0]})": members
        for each, members in zip(forms, groups.values(), strict=True)
    }


def measure(plan: Plan, by_line: dict[str, list[str]], tiles: Sequence[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two tidy frames: seams, a line per run, moment and side of tiles; and spectra, per run, moment and frequency."""
    real = _real_images(plan, next(iter(by_line.values()))[0])
    references = {tile: gradient_energy(real, tile, tiles) for tile in tiles}
    spectrum = radial_spectrum(real)
    seams: list[dict[str, Any]] = []
    spectra: list[dict[str, Any]] = []

    def record(pictures: np.ndarray, **names: Any) -> None:
        power = radial_spectrum(pictures)
        distance = spectral_distance(power, spectrum)
        seams.extend(
            {
                **names,
                "pictures": len(pictures),
                "tile": tile,
                **_ratio(gradient_energy(pictures, tile, tiles), reference),
                "spectral_distance": distance,
            }
            for tile, reference in references.items()
        )
        spectra.extend(_spectrum(power, **names))

    for line, runs in by_line.items():
        for run in runs:
            records = sources.dynamics(plan, run)
            distances = _last_stage(plan.run(run), records)
            for images, pictures, distance in zip(records["images"], records["pictures"], distances, strict=True):
                names = {"line": line, "run": run, "seed": plan.run(run).seed, "images": int(images)}
                record(pictures, **names, attention_distance=distance)
    count = max(each["pictures"] for each in seams)
    record(real[evenly_spaced(len(real), count)], line=REAL, run="", seed=0, images=0, attention_distance=np.nan)
    spectra.extend(_spectrum(spectrum, line=DATA, run="", seed=0, images=0))
    return pd.DataFrame(seams), pd.DataFrame(spectra)


def lay_out(plan: Plan, run: str, seams: pd.DataFrame) -> Layout:
    """A line per moment; columns are the forms' seam ratios, their quotients by a form without tiles, and spectra."""
    real, ours = (seams[(seams["line"] == REAL) == chosen] for chosen in (True, False))
    base = _untiled(plan, ours)
    columns: dict[tuple[str, str], dict[int, str]] = {}
    for tile, part in ours.groupby("tile"):
        size = f" at {tile} px" if ours["tile"].nunique() > 1 else ""
        for line, of_line in part.groupby("line", sort=False):
            columns[f"seams{size}", str(line)] = _by_moment(of_line, _seams_text)
        for line, of_line in part.groupby("line", sort=False):
            if base and line != base:
                columns[f"against {base}{size}", str(line)] = _quotients(of_line, part[part["line"] == base])
    one = ours[ours["tile"] == ours["tile"].min()]
    for line, of_line in one.groupby("line", sort=False):
        columns["spectrum, dB", str(line)] = _by_moment(of_line, lambda same: f"{same['spectral_distance'].mean():.2f}")
    main = pd.DataFrame(columns, index=sorted(ours["images"].unique())).rename(index=lambda count: f"{count:,}")
    noise = ", ".join(f"{value:.2f}" for value in real.sort_values("tile")["seams_of_noise"])
    notes = [note.format(run=run, base=base, noise=noise, floor=real["spectral_distance"].iloc[0]) for note in NOTES]
    return Layout(
        name=f"seams-{run}",
        title="Seams between tiles, and the power spectrum",
        source=_source(ours),
        warning=warning(plan),
        main=main.rename_axis(index="Images").map(lambda cell: BLANK if pd.isna(cell) else Text(cell)),
        details=None,
        notes=tuple(note for note in notes if base or not note.startswith("against")),
        footnotes=(),
    )


def log_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean of two or more ratios, and its 95% interval by Student's t of their logarithms."""
    result = paired_difference(np.log(values).tolist(), [0.0] * len(values))
    return float(np.exp(result.mean)), float(np.exp(result.low)), float(np.exp(result.high))


def _real_images(plan: Plan, run: str) -> np.ndarray:
    """Up to REAL_IMAGES of the training images of a run, uint8 (N, H, W, 3)."""
    pack = open_pack(plan, plan.run(run).dataset_name, verify=True)
    rows = pack.rows(plan.run(run).dataset.train_splits)
    return pack.read(rows[evenly_spaced(len(rows), REAL_IMAGES)])


def _last_stage(run: Run, records: dict[str, np.ndarray]) -> np.ndarray:
    """Attention distance of every moment (P,), the mean over the heads and layers of the generator's last stage.

    NaN where it has none: Nystrom attention computes no weights.
    """
    distances, generator = records["attention_distance"], run.model.generator
    stages = len(generator.stages) if isinstance(generator, TransformerGenerator) else 0
    last = [str(name).startswith(f"stages.{stages - 1}.") for name in records["attention_layers"]]
    return distances[:, last].mean((1, 2)) if any(last) else np.full(len(distances), np.nan)


def _ratio(generated: GradientEnergy, real: GradientEnergy) -> dict[str, float]:
    ratio = seam_ratio(generated, real)
    of_noise = real.inside.mean() / real.across.mean()  # that of independent pixels, whose own ratio is 1
    return {"seams": ratio.value, "seams_low": ratio.low, "seams_high": ratio.high, "seams_of_noise": of_noise}


def _spectrum(power: np.ndarray, **names: Any) -> Iterable[dict[str, Any]]:
    """Lines of a radial spectrum: `frequency` in cycles per side, `power` in dB."""
    return ({**names, "frequency": i, "power": value} for i, value in enumerate(decibels(power), start=1))


def _untiled(plan: Plan, seams: pd.DataFrame) -> str | None:
    """The line that the others are held against: standard attention, else the first line without tiles."""
    first = seams.drop_duplicates("line")
    untiled = [line for line, run in zip(first["line"], first["run"], strict=True) if not tile_sides(plan.run(run))]
    return "standard" if "standard" in untiled else next(iter(untiled), None)


def _by_moment(of_line: pd.DataFrame, text: Any) -> dict[int, str]:
    return {count: text(of_line[of_line["images"] == count]) for count in of_line["images"].unique().tolist()}


def _seams_text(same: pd.DataFrame) -> str:
    """The seam ratio of one line and moment, over its training seeds."""
    if len(same) > 1:
        value, low, high = log_interval(same["seams"].tolist())
    else:
        value, low, high = same[["seams", "seams_low", "seams_high"]].iloc[0]
    return f"{value:.2f} {bracket(low, high)}"


def _quotients(of_line: pd.DataFrame, of_base: pd.DataFrame) -> dict[int, str]:
    """Seam ratios over those of the base at every moment, seed by seed."""
    both = of_line.merge(of_base, on=["images", "seed"], suffixes=("", "_base"))
    both["quotient"] = both["seams"] / both["seams_base"]

    def text(same: pd.DataFrame) -> str:
        if len(same) == 1:
            return f"{same['quotient'].iloc[0]:.2f}"
        value, low, high = log_interval(same["quotient"].tolist())
        return f"{value:.2f} {bracket(low, high)}"

    return _by_moment(both, text)


def _source(seams: pd.DataFrame) -> str:
    """What was measured: `20 runs, 256 samples each, at 8 moments; tiles of 4 pixels`."""
    runs, pictures = seams["run"].nunique(), seams["pictures"].max()
    tiles = ", ".join(str(tile) for tile in sorted(seams["tile"].unique()))
    return f"{runs} run{'s' * (runs != 1)} with {pictures} samples each; tiles of {tiles} pixels"
