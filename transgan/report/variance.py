"""Where the spread of scores comes from: an analysis of variance over training seeds, evaluation seeds and samples.

It is computed per metric from the score files of a table's runs, row by row and pooled over rows. With `fid_counts` in
the protocol, FID at every number of samples is a third factor.
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.metrics.score_file import read_scores
from transgan.report.cells import Cell, cells
from transgan.report.findings import write_finding
from transgan.report.layout import BLANK, Layout, Text
from transgan.report.seed_statistics import POOLED, SumsOfSquares, components, sums_of_squares
from transgan.report.tables import signed, warning

COLUMNS = [
    "table",
    "row",
    "column",
    "metric",
    "measured",
    "rows",
    *("training_freedom", "evaluation_freedom", "evaluation_seeds"),
    *("training", "evaluation", "by_count", "rest", "p_value", "samples", "bias"),
]
NOTES = (
    "Standard deviations by the analysis of variance of a balanced nested design: evaluation seeds within training "
    "seeds, and the same numbers of samples for all. A negative variance is printed as 0.",
    "training seeds: how much another training run differs. evaluation seeds: how much other samples of one generator "
    "differ. p: of the hypothesis that training seeds make no difference (F test).",
    "number of samples: mean score at each number minus that at the largest. It is a bias, no spread. seeds × samples: "
    "how much that bias differs between training seeds, and between evaluation seeds.",
)


def analysis(plan: Plan, table: str) -> pd.DataFrame:
    """A line, with COLUMNS, per column, metric and row with two or more training and evaluation seeds, and pooled."""
    of_place: dict[tuple[str, str, str], list[tuple[Cell, SumsOfSquares, tuple[int, ...]]]] = {}
    for cell in cells(plan, table):
        for sums, samples in _sums(plan, cell):
            of_place.setdefault((cell.column, cell.metric, cell.label), []).append((cell, sums, samples))
    records = []
    for every in of_place.values():
        records += [_record(cell, cell.row, sums, samples) for cell, sums, samples in every]
        cell, pooled, samples = every[0]
        alike = [
            sums for _, sums, counts in every if (counts, sums.evaluation_seeds) == (samples, pooled.evaluation_seeds)
        ]
        if len(alike) > 1:
            for sums in alike[1:]:
                pooled = pooled + sums
            records.append(_record(cell, POOLED, pooled, samples))
    return pd.DataFrame(records, columns=COLUMNS)


def make(plan: Plan, table: str) -> tuple[Path, Path]:
    """Write findings/variance/<table>.csv and .md. Raises UserError if no row has two seeds of both kinds."""
    frame = analysis(plan, table)
    if frame.empty:
        raise UserError(
            f"table {table}: no row has two scored training seeds with two evaluation seeds each at scale "
            f"{plan.scale_name}; train and score more runs of its rows, or name runs with other seeds in {plan.file}"
        )
    return write_finding(plan.paths.finding(f"variance/{table}"), frame, lay_out(plan, table, frame))


def lay_out(plan: Plan, table: str, frame: pd.DataFrame) -> Layout:
    """The analysis as a table."""
    return Layout(
        name=f"{table}-variance",
        title=f"{plan.table(table).title}: where the variance comes from",
        source=f"Rows of the table {table}",
        warning=warning(plan),
        main=pd.DataFrame(
            [_line(line) for line in frame.to_dict("records")], index=pd.Index(frame["row"], name="Row")
        ).map(Text),
        details=None,
        notes=NOTES,
        footnotes=(),
    )


def _sums(plan: Plan, cell: Cell) -> Iterator[tuple[SumsOfSquares, tuple[int, ...]]]:
    """The sums of squares of a cell and its numbers of samples; none where its seeds are too few or not balanced."""
    scored = [each for each in cell.runs if each.score is not None]
    if len(scored) < 2:
        return
    samples: set[tuple[int, ...]] = set()
    arrays: list[NDArray[np.float64]] = []
    for each in scored:
        measured = (read_scores(plan, each.run.name) or {})["protocols"][each.run.protocol_name][cell.metric]
        values = measured.get("by_count") or [[value] for value in measured["values"]]
        samples.add(tuple(measured.get("counts") or (each.run.protocol.samples,)))
        arrays.append(np.asarray(values, float))
    if len({array.shape for array in arrays}) == 1 and len(samples) == 1 and len(arrays[0]) > 1:
        yield sums_of_squares(np.stack(arrays)), samples.pop()


def _record(cell: Cell, row: str, sums: SumsOfSquares, samples: tuple[int, ...]) -> dict[str, Any]:
    return {
        "table": cell.table,
        "row": row,
        "column": cell.column,
        "metric": cell.metric,
        "measured": cell.label,
        "rows": sums.rows,
        "training_freedom": sums.training_freedom,
        "evaluation_freedom": sums.evaluation_freedom,
        "evaluation_seeds": sums.evaluation_seeds,
        **asdict(components(sums)),
        "samples": " ".join(map(str, samples)),
        "bias": " ".join(f"{value:.4g}" for value in sums.bias),
    }


def _line(line: dict[Any, Any]) -> dict[str, str]:
    shifts = [
        f"{int(count):,}: {signed(float(bias))}"
        for count, bias in zip(line["samples"].split(), line["bias"].split(), strict=True)
    ][:-1]
    interactions = BLANK.text if pd.isna(line["by_count"]) else f"{line['by_count']:.2f}, {line['rest']:.2f}"
    return {
        "measured": f"{line['column']} {line['measured']}",
        "training seeds": f"{line['training']:.2f} ({line['training_freedom']} df)",
        "evaluation seeds": f"{line['evaluation']:.2f} ({line['evaluation_freedom']} df)",
        "p": BLANK.text if pd.isna(line["p_value"]) else f"{line['p_value']:.2g}",
        "number of samples": "; ".join(shifts) or BLANK.text,
        "seeds × samples": interactions,
    }
