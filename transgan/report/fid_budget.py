"""The FID budget as a table: what moves FID by how much, in units of the paper's own gains.

A gain is a difference between two rows of a table of the paper (reported.csv). The unit is its share of the FID before
it, because FIDs of other data and other extractors are on other scales; a change's share is that of the unchanged FID.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pandas as pd

from transgan.config.plan import Plan
from transgan.data.sources.catalog import INCOMING
from transgan.errors import UserError
from transgan.metrics.generator_files import load_trained
from transgan.models.base import GeneratorNetwork
from transgan.report.cells_frame import csv_text
from transgan.report.paper_numbers import paper_numbers
from transgan.scoring.fid_budget import Budget, measure, measure_images
from transgan.training.checkpoint import Checkpoints
from transgan.utils import files

NAME = "fid-budget"
COLUMNS = ("kind", "change", "fid", "difference", "share", "margins", "steps", "note")
SHARES = ("share", "margins", "steps")
HEADINGS = {
    "kind": "What changes",
    "change": "to",
    "fid": "FID",
    "difference": "difference",
    "share": "share",
    "margins": "in margins",
    "steps": "in steps",
    "note": "Note",
}


@dataclass(frozen=True)
class Gain:
    """A gain of the paper in FID, from `before` to `after`."""

    before: float
    after: float

    @property
    def share(self) -> float:
        """The gain as a share of the FID before it."""
        return (self.before - self.after) / self.before


def margin(dataset: str = "cifar10") -> Gain:
    """The paper's margin over the best other row of its comparison (Table 1)."""
    fids = _fids("unconditional", dataset)
    ours = fids.pop("TransGAN")
    return Gain(min(fids.values()), ours)


def steps() -> list[Gain]:
    """The gains of the techniques that the ablation adds one by one, on every dataset."""
    gains = []
    for dataset in dict.fromkeys(key[2] for key in paper_numbers() if key[0] == "ablation"):
        cumulative = [fid for row, fid in _fids("ablation", dataset).items() if row.startswith("(D)")]
        gains += [Gain(*pair) for pair in itertools.pairwise(cumulative)]
    return gains


def to_frame(budget: Budget) -> pd.DataFrame:
    """A line per change, with COLUMNS: shares of the unchanged FID, and these in units of the paper's gains.

    Without shares for real images, whose unchanged FID is bias and noise alone.
    """
    one_margin, one_step = margin().share, median(gain.share for gain in steps())
    lines = []
    for line in budget.lines:
        fid = math.nan if line.fid is None else line.fid
        share = (fid - budget.base) / budget.base
        lines.append(
            (line.kind, line.change, fid, fid - budget.base, share, share / one_margin, share / one_step, line.note)
        )
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    return frame.drop(columns=list(SHARES)) if budget.of_images else frame


def to_markdown(plan: Plan, budget: Budget) -> str:
    """The table with its notes."""
    frame = to_frame(budget)
    decimals = _decimals(budget)
    forms = {"fid": f"{{:.{decimals}f}}", "difference": f"{{:+z.{decimals}f}}", "share": "{:+z.1%}"}
    forms |= {"margins": "{:+z.1f}", "steps": "{:+z.1f}"}
    printed = frame.assign(**{name: _printed(frame[name], form) for name, form in forms.items() if name in frame})
    printed = printed.rename(columns=HEADINGS | {"fid": budget.title})
    notes = _notes_of_images(budget) if budget.of_images else _notes_of_samples(budget)
    if not plan.scale.comparable:
        notes.insert(0, f"**Not comparable with the paper: at scale {plan.scale_name}, {plan.scale.description}.**")
    numbers = ("right",) * (len(printed.columns) - 3)
    text = printed.to_markdown(index=False, disable_numparse=True, colalign=("left", "left", *numbers, "left"))
    return "\n\n".join(["# What moves FID by how much", *notes, text]) + "\n"


def _decimals(budget: Budget) -> int:
    """Two, as FIDs are printed; four for the small distances of Inception's inner layers and of real images."""
    return 2 if budget.base >= 5 else 4


def _notes_of_samples(budget: Budget) -> list[str]:
    first, every = margin(), steps()
    decimals = _decimals(budget)
    noise, floor = (None if value is None else f"{value:.{decimals}f}" for value in (budget.noise, budget.floor))
    noise = "" if noise is None else f"; its standard deviation over evaluation seeds is {noise}"
    floor = "" if floor is None else f" The floor, between two halves of the reference, is {floor}."
    return [
        f"{budget.title} of {budget.samples:,} samples of `{budget.run}` under `{budget.protocol}`, one evaluation "
        f"seed: {budget.base:.{decimals}f}{noise}.{floor} Each line changes one thing and keeps the images.",
        f"A margin is {first.share:.1%}: TransGAN's over the best other method on CIFAR-10 in the paper, "
        f"{first.before:g} to {first.after:g}. A step is {median(gain.share for gain in every):.1%}: the median of the "
        f"{len(every)} steps below (D) in the paper's ablation (recalled, not checked). Both are shares of the FID "
        "before the gain, and are set against the share by which a change moves this FID.",
    ]


def _notes_of_images(budget: Budget) -> list[str]:
    decimals = _decimals(budget)
    spread = "" if budget.noise is None else f"; its standard deviation over halves is {budget.noise:.{decimals}f}"
    return [
        f"{budget.title} between two random halves of `{budget.run}` under `{budget.protocol}`, {budget.samples:,} "
        f"real images each: {budget.base:.{decimals}f}{spread}. Each line changes the images of the first half, or "
        "the number of images of one half.",
        f"Unchanged, both halves are of the same distribution: their {budget.title} is the bias and the noise of so "
        "few images. Shares of it would mean nothing, so the table has differences only.",
    ]


def make(plan: Plan, run: str | None = None, ports: Sequence[Path] = ()) -> list[Path]:
    """Measure a run, by default the scale's first, and write the table as csv and Markdown; returns their paths.

    `ports` are weights of the same extractor from other ports; by default files `port-*` in data/incoming. Raises
    UserError if the run is not trained, and as `measure` does.
    """
    name = run or next(iter(plan.scheduled_runs))
    average, why_not = _last_weights(plan, name)
    return _write(plan, measure(plan, name, average, why_not, ports or sorted(INCOMING.glob("port-*"))), NAME)


def make_of_images(plan: Plan, target: str, protocol: str | None = None) -> list[Path]:
    """Measure real images, one half against the other, and write the table to fid-budget-TARGET-PROTOCOL.

    Otherwise as `make`. Raises UserError as `measure_images` does.
    """
    path, _, split = target.partition(":")
    called = "-".join(part for part in (Path(path).resolve().stem, split) if part)
    budget = measure_images(plan, target, protocol)
    return _write(plan, budget, f"{NAME}-{called}-{budget.protocol}")


def _write(plan: Plan, budget: Budget, name: str) -> list[Path]:
    base = plan.paths.finding(name)
    written = [base.with_name(f"{base.name}.{suffix}") for suffix in ("csv", "md")]
    for path, text in zip(written, (csv_text(to_frame(budget)), to_markdown(plan, budget)), strict=True):
        files.write_text(path, text)
    return written


def _last_weights(plan: Plan, run: str) -> tuple[GeneratorNetwork | None, str]:
    """The run's generator with its last weights, or why there is none."""
    fingerprint = plan.fingerprint("train", run)
    folder = plan.paths.workspace("train", run, fingerprint)
    try:
        state = Checkpoints(folder, fingerprint, 1).load()
    except UserError as error:
        return None, str(error)
    if state is None:
        return None, f"no checkpoint in {folder}; train the run here"
    generator = load_trained(plan, run)
    generator.load_state_dict(state["trainer"]["generator"])
    return generator, ""


def _fids(table: str, dataset: str) -> dict[str, float]:
    """Row -> FID of the paper, in the paper's order."""
    return {
        row: number.value
        for (name, row, of, metric), number in paper_numbers().items()
        if (name, of, metric) == (table, dataset, "fid") and number.value is not None
    }


def _printed(values: "pd.Series[float]", form: str) -> list[str]:
    return ["" if pd.isna(value) else form.format(value) for value in values]
