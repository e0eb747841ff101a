"""Tracing: from a cell of a table back to the runs, commits, data, machines and MLflow entries that it came from.

Reads provenance.json of the runs, which may differ between two makings of the same thing: only the report and `transgan trace` use it.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.metrics.score_file import read_scores
from transgan.report.cells import Cell, cells
from transgan.utils import files

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Origin:
    """Where one run's result came from. `provenance` is empty where the run's file did not travel with its scores."""

    run: str
    train_fingerprint: str
    score_fingerprint: str
    data: str
    images: int
    provenance: dict[str, Any]

    @property
    def commit(self) -> str:
        """The commit it was trained by."""
        return str(self.provenance.get("commit") or UNKNOWN)

    @property
    def dirty(self) -> bool | None:
        """Whether the sources differed from that commit; None where nobody knows."""
        known: bool | None = self.provenance.get("dirty")
        return known

    @property
    def hardware(self) -> str:
        """GPUs, or the processor, in words."""
        machine = self.provenance.get("hardware") or {}
        return (
            ", ".join(machine.get("gpus") or []) or f"{machine.get('cpu', UNKNOWN)}, {machine.get('cores', '?')} cores"
        )

    def plain(self) -> dict[str, Any]:
        """As JSON-compatible data."""
        return {
            "run": self.run,
            "train_fingerprint": self.train_fingerprint,
            "score_fingerprint": self.score_fingerprint,
            "data": self.data,
            "images": self.images,
            **self.provenance,
        }


@dataclass(frozen=True)
class Traced:
    """A cell and where its number came from, one origin per run that was there."""

    cell: Cell
    origins: tuple[Origin, ...]

    @property
    def doubts(self) -> list[str]:
        """What a reader should know before trusting the number: a dirty tree, several commits, no provenance."""
        found = []
        if any(origin.dirty for origin in self.origins):
            found.append("from a dirty tree: the sources differed from their commit")
        if len({origin.commit for origin in self.origins}) > 1:
            found.append("from several commits")
        if any(not origin.provenance for origin in self.origins):
            found.append("without provenance: the run's provenance.json is not here")
        return found

    def plain(self) -> dict[str, Any]:
        """As JSON-compatible data."""
        cell = self.cell
        return {
            "table": cell.table,
            "row": cell.row,
            "dataset": cell.dataset,
            "metric": cell.metric,
            "measured": cell.label if cell.result else None,
            "paper": cell.paper.text if cell.paper else None,
            "ours": cell.result.mean if cell.result else None,
            "verdict": cell.verdict.value,
            "missing": cell.missing,
            "would_cost_eflop": cell.would_cost,
            "protocol": cell.protocol,
            "doubts": self.doubts,
            "runs": [origin.plain() for origin in self.origins],
        }


def traced(plan: Plan, table: str) -> list[Traced]:
    """Every cell of a table that has runs, with their origins."""
    return [Traced(cell, _origins(plan, cell)) for cell in cells(plan, table) if cell.run_names]


def everything(plan: Plan) -> dict[str, Any]:
    """What results/<scale>/provenance.json holds: every cell of every table, and what to doubt in all of it."""
    found = [
        each for name, table in plan.params.tables.items() if table.kind == "scores" for each in traced(plan, name)
    ]
    commits = sorted({origin.commit for each in found for origin in each.origins})
    return {
        "scale": plan.scale_name,
        "commits": commits,
        "dirty": sorted({origin.run for each in found for origin in each.origins if origin.dirty}),
        "cells": [each.plain() for each in found],
    }


def write(plan: Plan) -> Path:
    """Write results/<scale>/provenance.json and return its path."""
    path = plan.paths.results / "provenance.json"
    files.write_json(path, everything(plan))
    return path


def trace(plan: Plan, table: str, row: str) -> None:
    """Print where the numbers of one row came from. Raises UserError naming the rows when there is no such row."""
    config = plan.table(table)
    names = [each.name for each in config.rows]
    if row not in names:
        raise UserError(f"{plan.file}: tables.{table}: no row {row!r}; the rows are: {', '.join(names)}")
    found = [each for each in traced(plan, table) if each.cell.row == row]
    quoted = [cell for cell in cells(plan, table) if cell.row == row and not cell.run_names]
    print("\n\n".join([*(_words(each) for each in found), *(_quoted(cell) for cell in quoted)]))


def _origins(plan: Plan, cell: Cell) -> tuple[Origin, ...]:
    """Of the runs that the number was made of; scores of another configuration are not among them."""
    origins = (_origin(plan, run) for run in cell.run_names if plan.paths.score(run).exists())
    return tuple(origin for origin in origins if cell.result and origin.score_fingerprint in cell.result.fingerprints)


def _origin(plan: Plan, run: str) -> Origin:
    scores = read_scores(plan, run)
    assert scores is not None  # its cell has a number
    provenance = plan.paths.run(run) / "provenance.json"
    return Origin(
        run=run,
        train_fingerprint=scores["train_fingerprint"],
        score_fingerprint=scores["fingerprint"],
        data=scores["data"],
        images=scores["images"],
        provenance=files.read_json(provenance) if provenance.exists() else {},
    )


def _words(each: Traced) -> str:
    cell = each.cell
    ours = f"{cell.result.mean:.4g}" if cell.result else "none"
    paper = f"{cell.paper.text} ({cell.paper.source})" if cell.paper else "none"
    lines = [
        f"{cell.row}, {cell.dataset}, {cell.label}: ours {ours}, the paper's {paper}: {cell.verdict.value}",
        *_lines(
            [
                ("protocol", cell.protocol),
                ("missing", cell.missing),
                ("would cost", _eflop(cell)),
                ("doubt", "; ".join(each.doubts)),
            ],
            "  ",
        ),
    ]
    for origin in each.origins:
        known = origin.provenance
        lines += [
            f"  run {origin.run}",
            *_lines(
                [
                    ("fingerprints", f"train {origin.train_fingerprint}, score {origin.score_fingerprint}"),
                    ("images", f"{origin.images:,}"),
                    ("data", origin.data),
                    ("commit", origin.commit + (" (dirty)" if origin.dirty else "")),
                    ("trained", f"{known['started']} to {known['finished']}" if known else ""),
                    ("hardware", origin.hardware if known else ""),
                    ("libraries", json.dumps(known.get("libraries", {}))[1:-1].replace('"', "") if known else ""),
                    ("mlflow run", str(known.get("mlflow_run_id") or "")),
                ],
                "    ",
            ),
        ]
    return "\n".join(lines)


def _eflop(cell: Cell) -> str:
    return "" if cell.would_cost is None else f"{cell.would_cost:.3g} EFLOP"


def _quoted(cell: Cell) -> str:
    assert cell.paper is not None
    checked = "" if cell.paper.verified else "; recalled, could not be checked"
    return f"{cell.row}, {cell.dataset}, {cell.metric.upper()}: {cell.paper.text}, quoted from {cell.paper.source}{checked}"


def _lines(pairs: Iterable[tuple[str, str]], indent: str) -> list[str]:
    return [f"{indent}{key + ':':13} {value}" for key, value in pairs if value]
