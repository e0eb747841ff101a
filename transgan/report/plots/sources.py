"""What figures are drawn from: tidy frames of training curves, records along training, and scores. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.metrics.score_file import read_scores
from transgan.pipeline.run_files import check_trained
from transgan.report.cells import metric_label
from transgan.utils.npz import read_npz


def history(plan: Plan, run: str) -> pd.DataFrame:
    """history.csv of a run, NaN where nothing was measured."""
    return pd.read_csv(existing(plan, plan.paths.run(run) / "history.csv", run))


def histories(plan: Plan, runs: Sequence[str]) -> pd.DataFrame:
    """history.csv of several runs, with the column `run`."""
    return pd.concat([history(plan, run).assign(run=run) for run in runs], ignore_index=True)


def dynamics(plan: Plan, run: str) -> dict[str, np.ndarray]:
    """Records at P moments of training.

    images (P,), pictures (P, N, H, W, 3) uint8, attention_distance (P, layers, heads) in pixels,
    attention_layers (layers,), fid (P,), NaN where it was not measured.
    """
    return read_npz(existing(plan, plan.paths.run(run) / "dynamics.npz", run))


def fid_along_training(plan: Plan, runs: Sequence[str]) -> pd.DataFrame:
    """Small-sample FID of several runs: `run`, `images`, `fid`, a line per moment at which it was measured."""
    records = [(run, dynamics(plan, run)) for run in runs]
    parts = [pd.DataFrame({"run": run, "images": each["images"], "fid": each["fid"]}) for run, each in records]
    return pd.concat(parts, ignore_index=True).dropna()


def scores(plan: Plan, runs: Sequence[str], *metrics: str) -> pd.DataFrame:
    """Scores of several runs at the end of training, a line per run and evaluation seed.

    Columns: each metric, its label (`fid_label`: `FID-digits`), `run` and `images` (real images shown). A run whose
    protocol measures none of the metrics has no line. Raises UserError naming the run to score first.
    """
    parts = []
    for run in runs:
        content = read_scores(plan, run)
        if content is None:
            raise UserError(f"{plan.paths.score(run)}: not there; run `{plan.command('score', run)}` first")
        protocol, measured = plan.run(run).protocol, content["protocols"][plan.run(run).protocol_name]
        values = {metric: pd.Series(measured.get(metric, {}).get("values", []), dtype="float64") for metric in metrics}
        labels = {f"{metric}_label": metric_label(metric, protocol.plain()) for metric in metrics}
        parts.append(pd.DataFrame(values).assign(run=run, images=content["images"], **labels))
    return pd.concat(parts, ignore_index=True)


def existing(plan: Plan, path: Path, run: str) -> Path:
    """`path` of an output of training.

    Raises UserError naming the run to train first if it is missing, or was changed after training wrote it.
    """
    if not path.exists():
        raise UserError(f"{path}: not there; run `{plan.command('train', run)}` first")
    check_trained(plan, run, path)
    return path
