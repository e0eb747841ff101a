"""`transgan summary`: one screen with the numbers of a scale's first table, counts for all tables, and where to look.

It reads the tables' csv files and draws for a terminal; the complete tables, with their notes, are in results/.
"""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.pipeline.freshness import check_recorded
from transgan.pipeline.stages import stage
from transgan.report.verdict import Verdict
from transgan.utils.console import print_wrapped, say_json, table_console

NOTHING = "–"
NUMBERS = ("mean", "mean_low", "mean_high")
USED = ("row", "column", "metric", "measured", "paper", "paper_text", *NUMBERS, "training_seeds", "run", "verdict")

Line = Mapping[str, str]  # a line of a table's csv: docs/tables.md explains the columns


def summary(plan: Plan, as_json: bool = False) -> None:
    """Print the first table of scores, a line for each of the others, and where everything is.

    As JSON: {scale, comparable, tables: [{table, title, cells: {verdict: count}}]}; the numbers are in cells.csv.
    """
    written = {name: lines for name in plan.score_tables if (lines := _lines(plan, name))}
    if as_json:
        say_json(_plain(plan, written))
        return
    console = table_console()
    if written:
        first = next(iter(written))
        note = "; the paper's numbers in parentheses" if plan.scale.comparable else ""
        console.print(f"{plan.params.tables[first].title}: scale {plan.scale_name}{note}")
        console.print(_headline(plan, written[first]))
        if any(line["mean"] for line in written[first]):
            console.print(
                "n: training seeds. Below a mean of several: the 95% interval of the mean over training seeds."
            )
        console.print("Cells of every table")
        console.print(_overview(plan, written))
    else:
        console.print(f"No tables at scale {plan.scale_name} yet: `{plan.snakemake_command}` makes them.")
    if not plan.scale.comparable:
        console.print(
            f"Not comparable with the paper: at scale {plan.scale_name}, {plan.scale.description}.\n"
            "The paper's numbers: docs/paper.md and https://arxiv.org/abs/2102.07074"
        )
    for what, where in _places(plan):
        print_wrapped(console, f"{what:<10} {where}")


def _lines(plan: Plan, table: str) -> list[Line]:
    path = plan.paths.table(table).with_suffix(".csv")
    if not path.exists():
        return []
    check_recorded(plan, stage(plan, "table", table))
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines: list[Line] = [{key: line[key] or "" for key in USED} for line in csv.DictReader(file)]
        for line in lines:
            for key in NUMBERS:
                float(line[key] or 0)
    except (ValueError, KeyError, OSError, csv.Error) as error:
        command = plan.command("table", table)
        raise UserError(f"{path}: damaged, or of another version ({error}); run `{command}` again") from error
    return lines


def _headline(plan: Plan, lines: Sequence[Line]) -> Table:
    """The table with its own rows and columns; where numbers are comparable, the paper's stand in parentheses."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    keys = list(dict.fromkeys((line["column"], line["metric"]) for line in lines))
    labels = {key: _label(key[1], lines, key) for key in keys}
    table.add_column("method")
    for key in keys:
        table.add_column(f"{key[0]}\n{labels[key]}", justify="right")
    for row in dict.fromkeys(line["row"] for line in lines):
        of_row = {(line["column"], line["metric"]): line for line in reversed(lines) if line["row"] == row}
        values = [_value(of_row.get(key), plan.scale.comparable) for key in keys]
        if set(values) != {NOTHING}:
            table.add_row(row, *values)
    return table


def _label(metric: str, lines: Sequence[Line], key: tuple[str, str]) -> str:
    """What was measured, for example FID-digits; the metric's name if no line of the column was."""
    return next(
        (line["measured"] for line in lines if (line["column"], line["metric"]) == key and line["measured"]),
        metric.upper(),
    )


def _value(line: Line | None, comparable: bool) -> str:
    """A cell: the mean over training seeds and their number, and below it the interval if there are several."""
    if line is None:
        return NOTHING
    paper = f" ({line['paper_text'] or line['paper']})" if comparable and line["paper"] else ""
    if line["mean"]:
        mean = f"{float(line['mean']):.2f}, n = {line['training_seeds']}{paper}"
        if not line["mean_low"]:
            return mean
        interval = f"[{float(line['mean_low']):.2f}, {float(line['mean_high']):.2f}]".replace("-", "−")
        return f"{mean}\n{interval}"
    ours = "not run" if line["run"] else ""
    return f"{ours}{paper}".strip() or NOTHING


def _overview(plan: Plan, written: Mapping[str, Sequence[Line]]) -> Table:
    """How many cells each table has, by verdict."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    verdicts = [verdict.value for verdict in Verdict]
    counts = {name: _verdicts(lines) for name, lines in written.items()}
    shown = [verdict for verdict in verdicts if any(count[verdict] for count in counts.values())]
    table.add_column("table")
    for verdict in shown:
        measured = verdict == Verdict.NOT_COMPARABLE and not plan.scale.comparable
        table.add_column("measured" if measured else verdict, justify="right")
    for name, count in counts.items():
        table.add_row(name, *(str(count[verdict] or NOTHING) for verdict in shown))
    return table


def _verdicts(lines: Sequence[Line]) -> Counter[str]:
    """Number of cells by verdict; a cell has a line for each training seed."""
    return Counter({(line["row"], line["column"], line["metric"]): line["verdict"] for line in lines}.values())


def _plain(plan: Plan, written: Mapping[str, Sequence[Line]]) -> dict[str, Any]:
    return {
        "scale": plan.scale_name,
        "comparable": plan.scale.comparable,
        "tables": [
            {"table": name, "title": plan.params.tables[name].title, "cells": dict(_verdicts(lines))}
            for name, lines in written.items()
        ],
    }


def _places(plan: Plan) -> list[tuple[str, str]]:
    results = plan.paths.results
    page = results / "report.html"
    return [
        ("tables", f"{results / 'tables'}/*.md, .csv, .tex; all cells in {plan.paths.cells}"),
        ("figures", f"{results / 'figures'}; samples of each run in {results / 'runs'}/*/samples.png"),
        ("report", str(page) if page.exists() else f"`{plan.command('report')}` writes {page}"),
        ("MLflow", "`mlflow ui` compares the runs"),
        ("next", "`transgan plan --scale paper` shows what the full reproduction costs; see README.md"),
    ]
