"""A table whose rows are a two-level full factorial design: effects, interactions, Shapley shares, orders of adding.

The table declares the design (`factors` of the table and of its rows). An ablation that adds its techniques one after
another measures one of all possible orders; the design holds them all (transgan/report/factorial_design.py).
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.report.cells import Cell, cells
from transgan.report.factorial_design import Design, Estimate, Members
from transgan.report.findings import write_finding
from transgan.report.layout import BLANK, Layout, Text
from transgan.report.paired import scores_by_seed
from transgan.report.tables import bracket, signed, warning

EFFECT, SHAPLEY, TOTAL, INTERACTIONS = "effect", "shapley", "total", "all interactions"
TIMES = " × "
COLUMNS = [
    *("table", "column", "metric", "measured", "seeds", "kind", "term", "factors"),
    *("value", "low", "high", "p_value", "seeds_low", "seeds_high", "f_ratio"),
    *("share", "added", "added_low", "added_high", "least", "least_after", "most", "most_after"),
]
SHARES_NOTES = (
    "Shapley value: how much the score changes when the factor is added, on average over all orders of adding the "
    "factors to a row that has none. The values add up to the change by all of them. share: of that change, where its "
    "interval does not contain 0.",
    "added in this order: to the factors of the lines above, as in a cumulative ablation. all orders: the smallest and "
    "the largest change of the mean score that adding the factor makes. Without interactions both would be the Shapley "
    "value, apart from chance; the test of all interactions (below) says whether chance suffices.",
)
EFFECTS_NOTES = (
    "effect of one factor: mean score of the rows with it minus that of the rows without it. A × B: half of how much "
    "the effect of A is larger in rows with B; A × B × C: half of how much A × B is larger in rows with C; and so on. "
    "A negative effect on FID or a positive one on IS is better.",
    "all interactions: F test of the hypothesis that every interaction is 0, that is, that no order of adding the "
    "factors differs from another.",
    "In brackets: 95% intervals. linear model: of effects and interactions with the training seeds as blocks, residual "
    "pooled over all rows, which takes their spreads to be alike. seeds alone: Student's t of the same effect computed "
    "in each training seed. Intervals and p are not corrected for the number of effects.",
)


def make(plan: Plan, table: str) -> tuple[Path, ...]:
    """Write findings/factorial/<table>.csv, .md, .png and .pdf. Raises UserError if the design is not complete."""
    from transgan.report import factorial_plot
    from transgan.report.plots import style

    frame = analysis(plan, table, cells(plan, table))
    base = plan.paths.finding(f"factorial/{table}")
    write_finding(base, frame, *lay_out(plan, table, frame))
    with style.theme():
        style.save(factorial_plot.draw(frame), base)
    return tuple(base.with_name(f"{base.name}.{suffix}") for suffix in ("csv", "md", "png", "pdf"))


def analysis(plan: Plan, table: str, of: Sequence[Cell]) -> pd.DataFrame:
    """A line, with COLUMNS, per column, metric and effect, factor or total. `of` are the cells of the table.

    Raises UserError where the table declares no factors, a run has no score, or rows have other training seeds.
    """
    config = plan.table(table)
    if not config.factors:
        raise UserError(f"{plan.file}: tables.{table} has no `factors`, so it is no factorial design")
    names = [factor.name for factor in config.factors]
    combination = {row.name: sum(1 << names.index(name) for name in row.factors) for row in config.rows}
    places: dict[tuple[str, str], dict[int, Cell]] = {}
    for cell in of:
        if cell.runs:
            places.setdefault((cell.column, cell.metric), {})[combination[cell.row]] = cell
    _check_complete(plan, table, places)
    records = [record for by_combination in places.values() for record in _records(names, by_combination)]
    return pd.DataFrame(records, columns=COLUMNS)


def lay_out(plan: Plan, table: str, frame: pd.DataFrame) -> tuple[Layout, Layout]:
    """Shares with orders of adding, and effects, as two tables."""
    config = plan.table(table)
    levels = "; ".join(f"{factor.name}: {factor.levels[1]} instead of {factor.levels[0]}" for factor in config.factors)
    shares = frame[frame["kind"].isin([SHAPLEY, TOTAL])]
    effects = frame[frame["kind"].isin([EFFECT, INTERACTIONS])]
    shares_lines = [_share_line(line, frame) for line in shares.to_dict("records")]
    effects_lines = [_effect_line(line) for line in effects.to_dict("records")]
    factors = pd.DataFrame(shares_lines, index=pd.Index(shares["term"], name="Factor"))
    terms = pd.DataFrame(effects_lines, index=pd.Index(effects["term"], name="Effect"))
    return (
        _layout(
            plan, table, "shapley", "what each factor adds, over all orders", factors, (f"{levels}.", *SHARES_NOTES)
        ),
        _layout(plan, table, "effects", "main effects and interactions", terms, EFFECTS_NOTES),
    )


def _layout(plan: Plan, table: str, part: str, title: str, main: pd.DataFrame, notes: tuple[str, ...]) -> Layout:
    return Layout(
        name=f"{table}-{part}",
        title=f"{plan.table(table).title}: {title}",
        source=f"All combinations of the factors of the table {table}",
        warning=warning(plan),
        main=main.map(Text),
        details=None,
        notes=notes,
        footnotes=(),
    )


def _check_complete(plan: Plan, table: str, places: dict[tuple[str, str], dict[int, Cell]]) -> None:
    """Raise UserError unless every row of a column has the same runs' seeds, two or more, all scored alike."""
    config = plan.table(table)
    if not places:
        raise UserError(f"{plan.file}: tables.{table}: no row has runs, which a factorial design needs")
    missing = []
    for (column, _), by_combination in places.items():
        if len(by_combination) < len(config.rows):
            have = {cell.row for cell in by_combination.values()}
            lacking = next(row.name for row in config.rows if row.name not in have)
            raise UserError(f"{plan.file}: tables.{table}: row {lacking!r} has no runs in column {column!r}; name them")
        every = list(by_combination.values())
        missing += [result.run.name for cell in every for result in cell.runs if result.score is None]
    if missing:
        names = list(dict.fromkeys(missing))
        listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise UserError(
            f"table {table}: a factorial design needs the score of every run, at scale {plan.scale_name} without "
            f"{listed}; `{plan.command('score', names[0])}` after training, or `{_snakemake(plan)}` for all"
        )
    for (column, metric), by_combination in places.items():
        first, *others = by_combination.values()
        for other in others:
            if (first.label, first.protocol) != (other.label, other.protocol):
                raise UserError(
                    f"table {table}: {column} {metric.upper()} is {first.label} ({first.protocol}) in row "
                    f"{first.row!r}, and {other.label} ({other.protocol}) in row {other.row!r}; give all one protocol"
                )
            if scores_by_seed(first).keys() != scores_by_seed(other).keys():
                raise UserError(
                    f"table {table}: row {first.row!r} has the training seeds {_seeds(first)}, row {other.row!r} has "
                    f"{_seeds(other)}; a factorial design needs the same in all rows"
                )
        if len(scores_by_seed(first)) < 2:
            raise UserError(
                f"table {table}: its rows have one training seed; name runs with another one in {plan.file}"
            )


def _snakemake(plan: Plan) -> str:
    return plan.snakemake_command.replace("reproduce_tables", "findings")


def _seeds(cell: Cell) -> str:
    return " ".join(map(str, sorted(scores_by_seed(cell))))


def _records(names: Sequence[str], by_combination: dict[int, Cell]) -> list[dict[str, Any]]:
    """The lines of one column and metric."""
    first = by_combination[0]
    seeds = sorted(scores_by_seed(first))
    scores = [[scores_by_seed(by_combination[c])[seed] for c in range(len(by_combination))] for seed in seeds]
    design = Design(np.asarray(scores, float), len(names))
    place = {
        "table": first.table,
        "column": first.column,
        "metric": first.metric,
        "measured": first.label,
        "seeds": _seeds(first),
    }

    def line(kind: str, members: Members, estimate: Estimate, **more: Any) -> dict[str, Any]:
        term = TIMES.join(names[member] for member in members) if kind != TOTAL else "all factors"
        return {**place, "kind": kind, "term": term, "factors": len(members), **asdict(estimate), **more}

    every = tuple(range(len(names)))
    total = design.total()
    records = []
    for factor in every:
        orders, added = design.orders(factor), design.added(factor)
        after = {
            f"{which}_after": " + ".join(names[member] for member in members) or "none"
            for which, members in (("least", orders.least_after), ("most", orders.most_after))
        }
        records.append(
            line(
                SHAPLEY,
                (factor,),
                orders.shapley,
                share=orders.shapley.value / total.value if total.value else None,
                added=added.value,
                added_low=added.low,
                added_high=added.high,
                least=orders.least,
                most=orders.most,
                **after,
            )
        )
    records.append(line(TOTAL, every, total, share=1.0 if total.value else None, added=total.value))
    records += [line(EFFECT, (factor,), design.effect((factor,))) for factor in every]
    records += [line(EFFECT, members, design.effect(members)) for members in design.interactions]
    ratio, p_value = design.no_interaction()
    return [
        *records,
        {**place, "kind": INTERACTIONS, "term": INTERACTIONS, "factors": None, "f_ratio": ratio, "p_value": p_value},
    ]


def _share_line(line: dict[Any, Any], frame: pd.DataFrame) -> dict[str, str]:
    here = (frame["column"] == line["column"]) & (frame["metric"] == line["metric"]) & (frame["kind"] == TOTAL)
    (total,) = frame[here].to_dict("records")
    certain = not total["low"] <= 0 <= total["high"]
    factor = line["kind"] == SHAPLEY
    added = (
        f"{signed(line['added'])} {bracket(line['added_low'], line['added_high'])}" if factor else signed(line["added"])
    )
    return {
        "measured": f"{line['column']} {line['measured']}",
        "Shapley value": signed(line["value"]),
        "linear model": bracket(line["low"], line["high"]),
        "seeds alone": bracket(line["seeds_low"], line["seeds_high"]),
        "share": f"{line['share']:.0%}".replace("-", "−") if certain else BLANK.text,
        "added in this order": added,
        "all orders": f"{signed(line['least'])} to {signed(line['most'])}" if factor else BLANK.text,
    }


def _effect_line(line: dict[Any, Any]) -> dict[str, str]:
    test = line["kind"] == INTERACTIONS
    return {
        "measured": f"{line['column']} {line['measured']}",
        "effect": f"F = {line['f_ratio']:.2f}" if test else signed(line["value"]),
        "linear model": BLANK.text if test else bracket(line["low"], line["high"]),
        "p": f"{line['p_value']:.2g}",
        "seeds alone": BLANK.text if test else bracket(line["seeds_low"], line["seeds_high"]),
    }
