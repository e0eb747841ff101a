"""Tracing a cell of a table back to its runs, commits, data, machines and MLflow runs.

It reads the runs' provenance.json, which is not the same when a run is trained again; so only the report and
`transgan trace` use it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.metrics.score_file import read_scores
from transgan.pipeline.run_files import read_provenance
from transgan.report.cells import Cell, cells
from transgan.utils import files
from transgan.utils.console import say, say_json

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Origin:
    """Where one run's result came from. `provenance` is empty where the run's provenance.json is not there."""

    run: str
    train_fingerprint: str
    score_fingerprint: str
    data: str
    images: int
    provenance: dict[str, Any]

    @property
    def commit(self) -> str:
        """The commit that the run was trained with."""
        return str(self.provenance.get("commit") or UNKNOWN)

    @property
    def dirty(self) -> bool | None:
        """Whether the sources differed from that commit; None where that is unknown."""
        dirty: bool | None = self.provenance.get("dirty")
        return dirty

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
    """A cell and where its number came from: an origin for each run with a score."""

    cell: Cell
    origins: tuple[Origin, ...]

    @property
    def doubts(self) -> list[str]:
        """What a reader should know before trusting the number: a dirty tree, several commits, no provenance."""
        doubts = []
        if any(origin.dirty for origin in self.origins):
            doubts.append("from a dirty tree: the sources differed from their commit")
        if len({origin.commit for origin in self.origins}) > 1:
            doubts.append("from several commits")
        if any(not origin.provenance for origin in self.origins):
            doubts.append("without provenance: the run's provenance.json is not here")
        return doubts

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
    """The content of results/<scale>/provenance.json: every cell, and the commits and dirty runs behind the cells."""
    every = [each for table in plan.score_tables for each in traced(plan, table)]
    commits = sorted({origin.commit for each in every for origin in each.origins})
    return {
        "scale": plan.scale_name,
        "commits": commits,
        "dirty": sorted({origin.run for each in every for origin in each.origins if origin.dirty}),
        "cells": [each.plain() for each in every],
    }


def write(plan: Plan) -> dict[str, Any]:
    """Write results/<scale>/provenance.json and return its content."""
    content = everything(plan)
    files.write_json(plan.paths.results / "provenance.json", content)
    return content


def trace(plan: Plan, table: str, row: str, as_json: bool = False) -> None:
    """Print where the numbers of one row came from, or as JSON: {table, row, cells: [...]}, as in provenance.json.

    Raises UserError naming the rows if there is no such row.
    """
    config = plan.table(table)
    names = [each.name for each in config.rows]
    if row not in names:
        raise UserError(f"{plan.file}: tables.{table}: no row {row!r}; the rows are: {', '.join(names)}")
    if as_json:
        of_row = [Traced(cell, _origins(plan, cell)) for cell in cells(plan, table) if cell.row == row]
        say_json({"table": table, "row": row, "cells": [each.plain() for each in of_row]})
        return
    measured = [each for each in traced(plan, table) if each.cell.row == row]
    quoted = [cell for cell in cells(plan, table) if cell.row == row and not cell.run_names]
    told: set[str] = set()
    words = [_words(each, plan.scale.comparable, told) for each in measured]
    say("\n\n".join([*words, *(_quoted(cell) for cell in quoted)]))


def _origins(plan: Plan, cell: Cell) -> tuple[Origin, ...]:
    """Origins of the runs behind the number; scores of another configuration are not among them."""
    origins = (_origin(plan, run) for run in cell.run_names if plan.paths.score(run).exists())
    return tuple(origin for origin in origins if cell.result and origin.score_fingerprint in cell.result.fingerprints)


def _origin(plan: Plan, run: str) -> Origin:
    scores = read_scores(plan, run)
    assert scores is not None  # its file exists
    return Origin(
        run=run,
        train_fingerprint=scores["train_fingerprint"],
        score_fingerprint=scores["fingerprint"],
        data=scores["data"],
        images=scores["images"],
        provenance=read_provenance(plan, run),
    )


def _words(each: Traced, comparable: bool, told: set[str]) -> str:
    """A cell and its runs in words. `told` are the runs that an earlier cell has described; those of this one join it.

    Where the scale is not comparable, no number of the paper stands beside ours.
    """
    cell = each.cell
    ours = f"ours {cell.result.mean:.4g}" if cell.result else "no number here"
    paper = f", the paper's {cell.paper.text} ({cell.paper.source})" if comparable and cell.paper else ""
    lines = [
        f"{cell.row}, {cell.dataset}, {cell.label}: {ours}{paper}: {cell.verdict.value}",
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
        provenance = origin.provenance
        if origin.run in told:
            lines.append(f"  run {origin.run}: as above")
            continue
        told.add(origin.run)
        lines += [
            f"  run {origin.run}",
            *_lines(
                [
                    ("fingerprints", f"train {origin.train_fingerprint}, score {origin.score_fingerprint}"),
                    ("images", f"{origin.images:,}"),
                    ("data", origin.data),
                    ("commit", origin.commit + (" (dirty)" if origin.dirty else "")),
                    ("trained", f"{provenance['started']} to {provenance['finished']}" if provenance else ""),
                    ("hardware", origin.hardware if provenance else ""),
                    ("libraries", _libraries(provenance)),
                    ("mlflow run", _mlflow_run(origin)),
                ],
                "    ",
            ),
        ]
    return "\n".join(lines)


def _mlflow_run(origin: Origin) -> str:
    """The MLflow run that training logged to. A run that is too short for that is logged later, under a new id."""
    if not origin.provenance:
        return ""
    return origin.provenance.get("mlflow_run_id") or (
        "none while it trained (runs of under two minutes have none); the stage `cells` or `transgan sync` logs it, "
        f"with the tag fingerprint = {origin.train_fingerprint}"
    )


def _libraries(provenance: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {version}" for name, version in provenance.get("libraries", {}).items())


def _eflop(cell: Cell) -> str:
    return "" if cell.would_cost is None else f"{cell.would_cost:.3g} EFLOP"


def _quoted(cell: Cell) -> str:
    assert cell.paper is not None
    checked = "" if cell.paper.verified else "; recalled, not checked"
    quoted = f"{cell.paper.text}, quoted from {cell.paper.source}{checked}"
    return f"{cell.row}, {cell.dataset}, {cell.metric.upper()}: {quoted}"


def _lines(pairs: Iterable[tuple[str, str]], indent: str) -> list[str]:
    return [f"{indent}{key + ':':13} {value}" for key, value in pairs if value]
