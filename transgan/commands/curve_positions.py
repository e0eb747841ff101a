"""The part of `transgan plan` that shows where runs stand on the authors' learning curve (docs/tables.md)."""

import logging
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from transgan.config.plan import Plan, Run
from transgan.errors import UserError
from transgan.metrics import training_fid
from transgan.metrics.authors_curve import Position, authors_curve, is_held_against
from transgan.metrics.score_file import read_scores
from transgan.utils.units import short_number

logger = logging.getLogger(__name__)

_COLUMNS = ("run", "images", "FID", "authors'", "difference", "allowed", "place", "measured")


def of(plan: Plan, run: Run) -> list[dict[str, Any]] | None:
    """Where a run stands on the authors' curve, one entry per measured FID in order.

    None if it is not held against it, or if the scale skips it and nothing was measured.

    Entries: {images, fid, authors, difference, allowed, place, measured}; `place` is on, above or below. The result is
    empty as long as no FID was measured within the range of the authors' points.
    """
    if not is_held_against(plan, run):
        return None
    entries: list[dict[str, Any]] = []
    for read in (_along_training, _scored):
        try:
            entries += read(plan, run)
        except UserError as error:  # one damaged file must not hide the plan of all runs
            logger.warning(f"{run.name}: its place on the authors' curve is unknown: {error}")
    return entries if entries or run.name in plan.scheduled_runs else None


def _along_training(plan: Plan, run: Run) -> list[dict[str, Any]]:
    along = training_fid.positions(plan, run, training_fid.measured(plan, run))
    return [_entry(position, "along training") for position in along]


def _scored(plan: Plan, run: Run) -> list[dict[str, Any]]:
    scores = read_scores(plan, run.name)
    if scores is None or scores["train_fingerprint"] != plan.fingerprint("train", run.name):
        return []
    scored = training_fid.scored_position(plan, run, scores)
    return [_entry(scored, "scored")] if scored else []


def show(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print the positions of the plan's rows, and which runs have none yet; nothing if no run is held against it."""
    held = {row["run"]: row for row in rows if row["authors_curve"] is not None}
    if not held:
        return
    if any(row["authors_curve"] for row in held.values()):
        title = "Against the authors' learning curve (below: a lower FID than theirs; docs/tables.md)"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column in _COLUMNS:
            table.add_column(column, justify="left" if column in ("run", "place", "measured") else "right")
        for name, row in held.items():
            for entry in row["authors_curve"]:
                table.add_row(name, *_cells(entry))
        console.print(table)
    for name, row in held.items():
        if not row["authors_curve"]:
            first, *_, last = (short_number(point.images) for point in authors_curve(row["dataset"]))
            console.print(f"{name} is held against the authors' learning curve ({first} to {last}): no FID there yet.")


def _entry(position: Position, measured: str) -> dict[str, Any]:
    return {
        "images": position.images,
        "fid": position.fid,
        "authors": position.authors,
        "difference": position.difference,
        "allowed": position.allowed,
        "place": position.place,
        "measured": measured,
    }


def _cells(entry: dict[str, Any]) -> list[str]:
    return [
        short_number(entry["images"]),
        f"{entry['fid']:.2f}",
        f"{entry['authors']:.2f}",
        f"{entry['difference']:+.2f}",
        f"±{entry['allowed']:.2f}",
        f"{entry['place']} the authors' curve",
        entry["measured"],
    ]
