"""`transgan power`: how many training seeds separate two rows of a table, from the spread measured so far."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.utils.console import say, say_json

if TYPE_CHECKING:
    from transgan.report.cells import Cell


@dataclass(frozen=True)
class Power:
    """Two cells compared: their difference, its spread, and the training seeds per row that separate them.

    `design` is paired (both rows with the same seeds) or unpaired. `std` is of paired differences, or of one row's
    scores. `fewest` and `most`: the seeds needed with the limits of the 95% interval of `std`. None: more than 10,000.
    """

    column: str
    measured: str
    design: str
    difference: float
    std: float
    freedom: int
    seeds: int | None
    fewest: int | None
    most: int | None


def show(plan: Plan, row: str, other: str, table: str | None, as_json: bool) -> None:
    """Print, per column and metric, how many training seeds separate the rows at 80% power and a level of 5%."""
    found = powers(plan, row, other, table)
    if as_json:
        say_json({"rows": [row, other], "alpha": 0.05, "power": 0.8, "cells": [asdict(each) for each in found]})
        return
    say(f"Training seeds per row that separate {row!r} from {other!r}: two-sided t test, level 5%, power 80%")
    for each in found:
        seeds = _number(each.seeds)
        of = "of the differences of pairs" if each.design == "paired" else "of one row"
        say(
            f"  {each.column} {each.measured}, {each.design}: {seeds} (difference {each.difference:+.2f}, "
            f"std {each.std:.2f} {of} with {each.freedom} df, "
            f"whose 95% interval gives {_number(each.fewest)} to {_number(each.most)})"
        )
    say("The difference is taken as measured. Where it is mostly chance, so is the number of seeds.")


def powers(plan: Plan, row: str, other: str, table: str | None) -> list[Power]:
    """Every column and metric in which both rows have a score and at least one of them has two training seeds.

    Raises UserError for rows that are not in one table, and where no spread has been measured yet.
    """
    from transgan.report.cells import cells

    name = table or _table_of(plan, row, other)
    names = [each.name for each in plan.table(name).rows]
    for each in (row, other):
        if each not in names:
            raise UserError(f"table {name} has no row {each!r}; its rows: {'; '.join(names)}")
    if row == other:
        raise UserError(f"{row!r}: named twice; name two rows of the table {name}")
    by_place: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells(plan, name):
        if cell.result is not None:
            by_place.setdefault((cell.column, cell.metric), {})[cell.row] = cell
    both = [found for found in by_place.values() if row in found and other in found]
    powers = [power for found in both for power in _powers(found[row], found[other])]
    if not powers:
        raise UserError(
            f"table {name}: {row!r} and {other!r} need a score each, and one of them two training seeds, at scale "
            f"{plan.scale_name}; train and score more of their runs"
        )
    return powers


def _powers(a: "Cell", b: "Cell") -> list[Power]:
    """Unpaired, from the pooled spread of the rows with two or more seeds; and paired, where seeds are common."""
    from transgan.report import paired
    from transgan.report.seed_statistics import seeds_needed, std_interval

    if a.result is None or b.result is None or a.label != b.label:
        return []
    difference = a.result.mean - b.result.mean
    spreads = [
        (result.std_training, result.training_seeds - 1)
        for result in (a.result, b.result)
        if result.std_training is not None
    ]
    designs = []
    if spreads:
        freedom = sum(df for _, df in spreads)
        designs.append(("unpaired", difference, math.sqrt(sum(s * s * df for s, df in spreads) / freedom), freedom))
    common = paired.common_seeds(a, b)
    if len(common) > 1:
        first, second = paired.scores_by_seed(a), paired.scores_by_seed(b)
        of_pairs = [first[seed] - second[seed] for seed in common]
        mean = math.fsum(of_pairs) / len(of_pairs)
        variance = math.fsum((value - mean) ** 2 for value in of_pairs) / (len(of_pairs) - 1)
        designs.append(("paired", mean, math.sqrt(variance), len(common) - 1))
    found = []
    for design, mean, std, freedom in designs:
        needed = [
            seeds_needed(mean / spread, design == "paired") if spread else (2 if mean else None)
            for spread in (std, *std_interval(std, freedom))
        ]
        found.append(Power(a.column, a.label, design, mean, std, freedom, *needed))
    return found


def _table_of(plan: Plan, row: str, other: str) -> str:
    """The only table of scores with both rows. Raises UserError naming the tables where there are none or several."""
    having = {name: [each.name for each in plan.table(name).rows] for name in plan.score_tables}
    found = [name for name, rows in having.items() if row in rows and other in rows]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{row!r} and {other!r} are rows of the tables {', '.join(found)}; name one with --table")
    raise UserError(f"no table has the rows {row!r} and {other!r}; `--table NAME` lists the rows of a table")


def _number(seeds: int | None) -> str:
    return "more than 10,000" if seeds is None else f"{seeds:,}"
