"""`transgan replay`: how one cell of a table came about, run again and held against the printed number."""

from pathlib import Path

from transgan.config.fingerprint import digest
from transgan.config.plan import Plan
from transgan.config.validation import lookup
from transgan.errors import UserError
from transgan.pipeline.freshness import check_recorded
from transgan.pipeline.stages import stage
from transgan.report import replay as replaying
from transgan.report.trace import traced
from transgan.utils.console import say


def replay(
    plan: Plan,
    table: str,
    row: str,
    column: str,
    metric: str | None,
    execute: bool,
    again: str,
    into: Path | None,
    tolerance: float,
) -> bool:
    """Print the chain of commands; with `execute`, run it and return whether it gives the printed number.

    Raises UserError for a cell without a number, or when a command of the chain fails.
    """
    cell = replaying.find_cell(plan, table, row, column, metric)
    first = lookup({verb: verb for verb in replaying.ORDER}, again, "stage for --again", plan.file)
    name = f"{table}-{digest([row, cell.column, cell.metric])}"
    chain = replaying.chain(plan, cell, into or plan.paths.state / "replay" / name, first)
    printed = replaying.printed_numbers(plan, cell) if execute else ()
    say("\n".join(chain.script()))
    if not execute:
        return True
    replaying.execute(chain)
    (found, *_) = replaying.printed_numbers(plan, cell, chain.table_file)
    differing = [number for number in printed if not replaying.same(number, found, tolerance)]
    what = f"{table}: {row}, {cell.column}, {cell.label}"
    say(f"{what}: replayed {found:.10g}, printed {(differing or printed)[0]:.10g}: {'not ' * bool(differing)}the same")
    try:
        check_recorded(plan, stage(plan, "table", table))
    except UserError as error:
        say(f"note: {error}")
    return not differing


def export(plan: Plan, table: str, row: str | None, column: str | None, metric: str | None, folder: Path) -> None:
    """Write an RO-Crate of a whole table, or of one cell."""
    from transgan.report import crate

    wanted = traced(plan, table)
    if row is not None and column is not None:
        cell = replaying.find_cell(plan, table, row, column, metric)
        wanted = [each for each in wanted if each.cell == cell]
    crate.export(plan, wanted, folder)
    say(f"{folder}: an RO-Crate of {sum(each.cell.result is not None for each in wanted)} cells")
