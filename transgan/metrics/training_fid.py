"""FID measured along a run's training, and where it stands on the authors' learning curve. Imports no torch.

While a run trains, its state folder has the values (fid.csv); afterwards they are in dynamics.npz.
"""

import csv
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transgan.config.plan import Plan, Run
from transgan.errors import UserError
from transgan.metrics.authors_curve import Position, is_comparable, is_held_against, position
from transgan.pipeline.freshness import embedded_metadata
from transgan.pipeline.run_files import check_trained
from transgan.utils import files
from transgan.utils.npz import read_npz

FILE = "fid.csv"  # in the state folder
COLUMNS = ("images", "fid")

Point = tuple[int, float]  # real images shown, FID


def write(folder: Path, points: Sequence[Point]) -> None:
    """Write fid.csv with every FID measured so far."""
    files.write_csv(folder / FILE, COLUMNS, points)


def measured(plan: Plan, run: Run) -> list[Point]:
    """Every FID measured so far along a run's training under the plan's configuration, in order.

    Raises UserError for a damaged dynamics.npz.
    """
    fingerprint = plan.fingerprint("train", run.name)
    results = plan.paths.run(run.name)
    current = embedded_metadata(results / "run.json").get("fingerprint") == fingerprint
    if current and (results / "dynamics.npz").exists():
        check_trained(plan, run.name, results / "dynamics.npz")
        return measured_in(results / "dynamics.npz")
    path = plan.paths.workspace("train", run.name, fingerprint) / FILE
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [(int(row["images"]), float(row["fid"])) for row in csv.DictReader(file)]
    except (ValueError, KeyError, TypeError, OSError) as error:
        command = plan.command("train", run.name)
        raise UserError(f"{path}: damaged ({error}); delete it and run `{command}` to write it again") from error


def measured_in(path: Path) -> list[Point]:
    """Every FID in a dynamics.npz. Raises UserError for a damaged file."""
    records = read_npz(path, "images", "fid")
    if len(records) < 2:
        raise UserError(f"{path}: has no arrays images and fid; train the run again")
    pairs = zip(records["images"].tolist(), records["fid"].tolist(), strict=True)
    return [(int(images), float(fid)) for images, fid in pairs if math.isfinite(fid)]


def positions(plan: Plan, run: Run, points: Iterable[Point]) -> list[Position]:
    """Where `points` stand on the authors' curve; those outside its range are left out.

    Empty if the run is not held against the curve, or measures its FID otherwise.
    """
    comparable = is_comparable(run.protocol.plain(), run.recipe.dynamics.fid_samples)
    if not comparable or not is_held_against(plan, run):
        return []
    found = (position(run.dataset_name, images, fid) for images, fid in points)
    return [each for each in found if each is not None]


def scored_position(plan: Plan, run: Run, scores: Mapping[str, Any]) -> Position | None:
    """Where the FID of a run's score file stands on the authors' curve; None where it may not be held against it."""
    values = scores["protocols"].get(run.protocol_name, {}).get("fid", {}).get("values", [])
    settings = scores.get("settings", {}).get(run.protocol_name, run.protocol.plain())
    if not values or not is_held_against(plan, run) or not is_comparable(settings, settings["samples"]):
        return None
    std = statistics.stdev(values) if len(values) > 1 else None
    return position(run.dataset_name, scores["images"], statistics.fmean(values), std)
