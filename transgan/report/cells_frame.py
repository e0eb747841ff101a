"""Cells as a tidy data frame: a line per table, row, column, metric and training seed.

Tables are pivots of this frame. The stage `cells` writes it for a whole scale, as results/<scale>/cells.csv;
docs/tables.md explains its columns.
"""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline.freshness import check_recorded
from transgan.pipeline.stages import stage
from transgan.report.cells import Cell, RunResult, cells, metric_label
from transgan.utils import files
from transgan.utils.escape import csv_cell

# Columns of the frame and their types. The first five name a line; docs/tables.md explains each column.
COLUMNS: Mapping[str, str] = {
    "table": "str",
    "row": "str",
    "column": "str",
    "metric": "str",
    "seed": "Int64",
    "scale": "str",
    "dataset": "str",
    "better": "str",
    "paper": "float64",
    "paper_std": "float64",
    "paper_text": "str",
    "paper_verified": "boolean",
    "paper_std_verified": "boolean",
    "paper_note": "str",
    "paper_source": "str",
    "measured": "str",
    "ours": "float64",
    "std": "float64",
    "split_std": "float64",
    "evaluation_seeds": "Int64",
    "mean": "float64",
    "std_training": "float64",
    "std_evaluation": "float64",
    "training_seeds": "Int64",
    "mean_low": "float64",
    "mean_high": "float64",
    "difference": "float64",
    "curve_fid": "float64",
    "curve_difference": "float64",
    "curve_allowed": "float64",
    "verdict": "str",
    "note": "str",
    "skipped": "boolean",
    "would_cost_eflop": "float64",
    "run": "str",
    "fingerprint": "str",
    "protocol": "str",
    "images": "Int64",
    "share": "float64",
    "published_statistics": "str",
    "published_fid": "float64",
    "references_fid": "float64",
}
# The columns that name a cell; the lines of one cell are its training seeds.
CELL = ["table", "row", "column", "metric"]


def cells_frame(plan: Plan, *tables: str) -> pd.DataFrame:
    """The cells of some tables, of all tables of scores where none is named, as a tidy frame with COLUMNS."""
    return to_frame(cell for table in tables or plan.score_tables for cell in cells(plan, table))


def to_frame(of: Iterable[Cell]) -> pd.DataFrame:
    """A line per cell and run, with COLUMNS; a cell that is only quoted has one line, without a seed."""
    records = [record for cell in of for record in _records(cell)]
    return pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as a csv file whose texts no spreadsheet runs as formulas."""
    safe = frame.copy()
    for column in safe:
        if pd.api.types.is_string_dtype(safe[column]):
            safe[column] = safe[column].map(csv_cell, na_action="ignore")
    return safe.to_csv(index=False)


def write(plan: Plan) -> None:
    """The stage `cells`: write results/<scale>/cells.csv from the csv files of the tables of scores.

    Raises UserError naming the table to build first, also where its file has other columns (those of an older version).
    """
    frame = pd.concat(_read_table(plan, table) for table in plan.score_tables)
    files.write_text(plan.paths.cells, frame.to_csv(index=False))


def _read_table(plan: Plan, table: str) -> pd.DataFrame:
    """A table's csv as text, so that every number keeps its digits."""
    path, command = plan.paths.table(table).with_suffix(".csv"), plan.command("table", table)
    if not path.exists():
        raise UserError(f"{path}: not there; run `{command}` first")
    check_recorded(plan, stage(plan, "table", table))
    try:
        frame = pd.read_csv(path, dtype="str", keep_default_na=False)
    except (ValueError, OSError) as error:  # of pandas, of the encoding, a folder
        raise UserError(f"{path}: damaged ({error}); run `{command}` again") from error
    if list(frame) != list(COLUMNS):
        raise UserError(f"{path}: its columns are not those of this version; run `{command}` again")
    return frame


def _records(cell: Cell) -> list[dict[str, Any]]:
    paper, result = cell.paper, cell.result
    shared: dict[str, Any] = {
        "table": cell.table,
        "row": cell.row,
        "column": cell.column,
        "metric": cell.metric,
        "scale": cell.scale,
        "dataset": cell.dataset,
        "better": "higher" if cell.metric == "is" else "lower",
        "verdict": cell.verdict.value,
        "difference": cell.difference,
        "skipped": False,
    }
    if paper is not None:
        shared |= {
            "paper": paper.value,
            "paper_std": paper.std,
            "paper_text": paper.text,
            "paper_verified": paper.verified,
            "paper_std_verified": None if paper.std is None else paper.std_verified,
            "paper_note": paper.note or None,
            "paper_source": paper.source,
        }
    if cell.curve is not None:
        shared |= {
            "curve_fid": cell.curve.authors,
            "curve_difference": cell.curve.difference,
            "curve_allowed": cell.curve.allowed,
        }
    if result is not None:
        shared |= {
            "mean": result.mean,
            "std_training": result.std_training,
            "std_evaluation": result.std_evaluation,
            "training_seeds": result.training_seeds,
        }
        if result.interval is not None:
            shared |= {"mean_low": result.interval[0], "mean_high": result.interval[1]}
    return [{**shared, **_run_record(cell, run)} for run in cell.runs] or [shared]


def _run_record(cell: Cell, result: RunResult) -> dict[str, Any]:
    record: dict[str, Any] = {
        "run": result.run.name,
        "seed": result.run.seed,
        "protocol": result.run.protocol_name,
        "note": result.missing or None,
        "skipped": result.skipped,
        "would_cost_eflop": result.would_cost,
    }
    if result.score is not None:
        record |= {
            "measured": metric_label(cell.metric, result.score.settings),
            "ours": result.score.mean,
            "std": None if result.score.variance is None else result.score.variance**0.5,
            "split_std": statistics.fmean(result.score.split_stds) if result.score.split_stds else None,
            "evaluation_seeds": len(result.score.values),
            "images": result.score.images,
            "share": result.score.share,
            "fingerprint": result.score.fingerprint,
        }
        if result.score.published:
            first = result.score.published[0]
            record |= {
                "published_statistics": first.file,
                "published_fid": first.fid,
                "references_fid": first.references_fid,
            }
    return record
