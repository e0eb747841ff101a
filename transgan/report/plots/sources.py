"""What figures read: a run's curve, its records along training, its generator and its scores. Shapes as the stages that write them say."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.metrics.score_file import read_scores
from transgan.scoring.reference import read_arrays

if TYPE_CHECKING:
    from transgan.models.serialization import Saved


def history(plan: Plan, run: str) -> dict[str, np.ndarray]:
    """Column -> values (rows,), NaN where nothing was measured."""
    path = _there(plan, plan.paths.run(run) / "history.csv", run)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key] or "nan") for row in rows]) for key in (rows[0] if rows else {})}


def dynamics(plan: Plan, run: str) -> dict[str, np.ndarray]:
    """images (P,), pictures (P, N, H, W, 3) uint8, attention_distance (P, layers, heads) in pixels, attention_layers (layers,), fid (P,)."""
    return read_arrays(_there(plan, plan.paths.run(run) / "dynamics.npz", run))


def generator(plan: Plan, run: str) -> "Saved":
    """The trained generator (moving average), in evaluation mode on the CPU; one thread, so that figures are the same bytes each time."""
    from transgan.hardware.device import prepare_compute
    from transgan.models.serialization import load_generator

    prepare_compute(threads=1, device="cpu")
    return load_generator(_there(plan, plan.paths.run(run) / "generator.safetensors", run))


def scores(plan: Plan, run: str) -> dict[str, dict[str, Any]]:
    """Metric -> {"values": [...], ...} under the run's protocol."""
    content = read_scores(plan, run)
    if content is None:
        raise UserError(f"{plan.paths.score(run)}: not there; run `{plan.command('score', run)}` first")
    found: dict[str, dict[str, Any]] = content["protocols"][plan.run(run).protocol_name]
    return found


def _there(plan: Plan, path: Path, run: str) -> Path:
    if not path.exists():
        raise UserError(f"{path}: not there; run `{plan.command('train', run)}` first")
    return path
