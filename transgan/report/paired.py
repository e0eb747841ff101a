"""Paired differences between the rows of a table, over training seeds that both rows have.

Random numbers follow from seed, name and step (transgan/utils/random.py), so two runs with one seed share the initial
weights where shapes agree, the order of the data, latents and coins. Their difference may then vary less than that of
two unpaired runs; `transgan paired` measures by how much.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.report.cells import Cell, cells
from transgan.report.findings import write_finding
from transgan.report.layout import BLANK, Layout, Text
from transgan.report.seed_statistics import PairedDifference, paired_difference
from transgan.report.tables import bracket, signed, warning

COLUMNS = [
    "table",
    "row",
    "against",
    "column",
    "metric",
    "measured",
    "seeds",
    *("count", "mean", "low", "high", "p_value", "unpaired_low", "unpaired_high"),
    *("correlation", "correlation_low", "correlation_high", "variance_ratio", "unpaired_seeds"),
]
NOTES = (
    "A row minus another one, seed by seed, over the training seeds that both have; the other one is the table's first "
    "row, and the row above. A negative FID or a positive IS is better.",
    "In brackets: 95% intervals of the mean difference by Student's t. paired: of the paired differences. unpaired: of "
    "the same scores as if no run belonged to another (Welch).",
    "ratio of variances: of the difference of two unpaired runs over that of a pair. Above 1 pairing saves seeds: "
    "without it, so many times the seeds would be needed. With few seeds it is a rough estimate, as the interval of "
    "the correlation shows. Intervals and p are not corrected for the number of comparisons.",
)


def differences(of: Sequence[Cell]) -> pd.DataFrame:
    """A line, with COLUMNS, per column, metric and pair of rows that share two or more scored training seeds.

    `of` are the cells of one table.
    """
    by_place: dict[tuple[str, str], list[Cell]] = {}
    for cell in of:
        if cell.result is not None:
            by_place.setdefault((cell.column, cell.metric), []).append(cell)
    records = [_record(a, b, common) for every in by_place.values() for a, b, common in _pairs(every)]
    return pd.DataFrame(records, columns=COLUMNS)


def compare(a: Cell, b: Cell, seeds: Sequence[int]) -> PairedDifference:
    """The paired difference of two cells over the given training seeds."""
    first, second = scores_by_seed(a), scores_by_seed(b)
    return paired_difference([first[seed] for seed in seeds], [second[seed] for seed in seeds])


def scores_by_seed(cell: Cell) -> dict[int, float]:
    """Training seed -> mean over the evaluation seeds, for the runs of a cell that have a score."""
    return {each.run.seed: each.score.mean for each in cell.runs if each.score is not None}


def common_seeds(a: Cell, b: Cell) -> list[int]:
    """Training seeds with a score in both cells. None where the two were measured differently.

    Scores of different labels (FID, FID-digits) or protocols have no difference.
    """
    if a.label != b.label or a.protocol != b.protocol:
        return []
    return sorted(scores_by_seed(a).keys() & scores_by_seed(b).keys())


def make(plan: Plan, table: str) -> tuple[Path, Path]:
    """Write findings/paired/<table>.csv and .md. Raises UserError if no two rows share two scored training seeds."""
    frame = differences(cells(plan, table))
    if frame.empty:
        raise UserError(
            f"table {table}: no two rows share two scored training seeds at scale {plan.scale_name}; train and score "
            f"more runs of its rows, or name runs with other seeds in {plan.file}"
        )
    return write_finding(plan.paths.finding(f"paired/{table}"), frame, lay_out(plan, table, frame))


def lay_out(plan: Plan, table: str, frame: pd.DataFrame) -> Layout:
    """The differences as a table."""
    config = plan.table(table)
    lines = [_line(line) for line in frame.to_dict("records")]
    names = [f"{row} − {against}" for row, against in zip(frame["row"], frame["against"], strict=True)]
    return Layout(
        name=f"{table}-paired",
        title=f"{config.title}: paired differences",
        source=f"Rows of the table {table}, compared over training seeds",
        warning=warning(plan),
        main=pd.DataFrame(lines, index=pd.Index(names, name="Difference")).map(Text),
        details=None,
        notes=NOTES,
        footnotes=(),
    )


def _pairs(every: Sequence[Cell]) -> Iterator[tuple[Cell, Cell, list[int]]]:
    """Every cell with the first one and with the one above it, where two or more training seeds are common."""
    for place, cell in enumerate(every):
        for other in dict.fromkeys((0, place - 1)):
            common = common_seeds(cell, every[other]) if 0 <= other < place else []
            if len(common) > 1:
                yield cell, every[other], common


def _record(a: Cell, b: Cell, seeds: Sequence[int]) -> dict[str, Any]:
    difference = compare(a, b, seeds)
    return {
        "table": a.table,
        "row": a.row,
        "against": b.row,
        "column": a.column,
        "metric": a.metric,
        "measured": a.label,
        "seeds": " ".join(map(str, seeds)),
        **asdict(difference),
        "unpaired_seeds": difference.unpaired_seeds,
    }


def _line(line: dict[Any, Any]) -> dict[str, str]:
    correlation = BLANK.text if pd.isna(line["correlation"]) else f"{line['correlation']:.2f}".replace("-", "−")
    if not pd.isna(line["correlation_low"]):
        correlation += f" {bracket(line['correlation_low'], line['correlation_high'])}"
    saved = "not defined" if pd.isna(line["variance_ratio"]) else f"{line['variance_ratio']:.2f}"
    return {
        "measured": f"{line['column']} {line['measured']}",
        "seeds": str(line["count"]),
        "mean": signed(line["mean"]),
        "paired": bracket(line["low"], line["high"]),
        "p": f"{line['p_value']:.2g}",
        "unpaired": bracket(line["unpaired_low"], line["unpaired_high"]),
        "correlation": correlation,
        "ratio of variances": saved,
    }
