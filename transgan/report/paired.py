"""Paired differences between the rows of a table, over training seeds that both rows have.

Random numbers follow from seed, name and step (transgan/utils/random.py), so two runs with one seed share the initial
weights where shapes agree, the order of the data, latents and coins. Their difference may then vary less than that of
two unpaired runs; `transgan paired` measures by how much, in a table and a figure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.report.cells import Cell, cells
from transgan.report.findings import write_finding
from transgan.report.layout import BLANK, Layout, Text
from transgan.report.seed_statistics import PairedDifference, holm, paired_difference
from transgan.report.tables import bracket, signed, warning

MEAN = "mean of the comparisons"
COLUMNS = [
    "table",
    "row",
    "against",
    "column",
    "metric",
    "measured",
    "seeds",
    *("count", "mean", "low", "high", "p_value", "p_holm", "unpaired_low", "unpaired_high"),
    *("correlation", "correlation_low", "correlation_high", "variance_ratio", "unpaired_seeds"),
]
NOTES = (
    "A row minus another one, seed by seed, over the training seeds that both have. The other one is the table's first "
    "row and the row above, unless the table names its comparisons. A negative FID or a positive IS is better.",
    "In brackets: 95% intervals of the mean difference by Student's t. paired: of the paired differences. unpaired: of "
    "the same scores as if no run belonged to another (Welch).",
    "ratio of variances: of the difference of two unpaired runs over that of a pair. Above 1 pairing saves seeds: "
    "without it, so many times the seeds would be needed. With few seeds it is a rough estimate, as the interval of "
    "the correlation shows.",
    "p, Holm: p corrected for the number of comparisons of the measure. Intervals and p are not corrected.",
)
NOTE_ON_MEAN = (
    f"{MEAN}: each seed's mean over all comparisons, over the seeds that all have. It is one test, not several, of "
    "whether the change has an effect on average over the settings."
)


def differences(of: Sequence[Cell], comparisons: Sequence[tuple[str, str]] = ()) -> pd.DataFrame:
    """A line, with COLUMNS, per column, metric and pair of rows that share two or more scored training seeds.

    `of` are the cells of one table, `comparisons` those that it names: pairs of rows. With two or more of them, a last
    line has their mean.
    """
    by_place: dict[tuple[str, str], list[Cell]] = {}
    for cell in of:
        if cell.result is not None:
            by_place.setdefault((cell.column, cell.metric), []).append(cell)
    records = []
    for every in by_place.values():
        pairs = list(_pairs(every, comparisons))
        of_place = [_record(a, b, common) for a, b, common in pairs]
        for record, corrected in zip(of_place, holm([record["p_value"] for record in of_place]), strict=True):
            record["p_holm"] = corrected
        records += of_place
        if comparisons and len(pairs) > 1:
            records += _mean_record(pairs)
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


def make(plan: Plan, table: str) -> tuple[Path, ...]:
    """Write findings/paired/<table>.csv, .md, .png and .pdf.

    Raises UserError if no two rows that are compared share two scored training seeds.
    """
    frame = differences(cells(plan, table), plan.table(table).comparisons)
    if frame.empty:
        raise UserError(
            f"table {table}: no two rows share two scored training seeds at scale {plan.scale_name}; train and score "
            f"more runs of its rows, or name runs with other seeds in {plan.file}"
        )
    from transgan.report.plots import differences as plot
    from transgan.report.plots import style

    base = plan.paths.finding(f"paired/{table}")
    written = write_finding(base, frame, lay_out(plan, table, frame))
    with style.theme():
        style.save(plot.draw(frame, _names(frame)), base)
    return (*written, *(base.with_name(f"{base.name}.{suffix}") for suffix in ("png", "pdf")))


def lay_out(plan: Plan, table: str, frame: pd.DataFrame) -> Layout:
    """The differences as a table."""
    config = plan.table(table)
    lines = [_line(line) for line in frame.to_dict("records")]
    means = frame["row"].eq(MEAN).any()
    return Layout(
        name=f"{table}-paired",
        title=f"{config.title}: paired differences",
        source=f"Rows of the table {table}, compared over training seeds",
        warning=warning(plan),
        main=pd.DataFrame(lines, index=pd.Index(_names(frame), name="Difference")).map(Text),
        details=None,
        notes=(*NOTES, NOTE_ON_MEAN) if means else NOTES,
        footnotes=(),
    )


def _names(frame: pd.DataFrame) -> list[str]:
    """What each line compares."""
    pairs = zip(frame["row"], frame["against"], strict=True)
    return [f"{row} − {against}" if against else str(row) for row, against in pairs]


def _pairs(every: Sequence[Cell], comparisons: Sequence[tuple[str, str]]) -> Iterator[tuple[Cell, Cell, list[int]]]:
    """The pairs of cells to compare, where two or more training seeds are common.

    Without `comparisons`: every cell with the first one and with the one above it.
    """
    by_row = {cell.row: cell for cell in every}
    pairs = [(by_row[a], by_row[b]) for a, b in comparisons if a in by_row and b in by_row]
    if not comparisons:
        places = [(i, other) for i in range(1, len(every)) for other in dict.fromkeys((0, i - 1))]
        pairs = [(every[i], every[other]) for i, other in places]
    for a, b in pairs:
        common = common_seeds(a, b)
        if len(common) > 1:
            yield a, b, common


def _mean_record(pairs: Sequence[tuple[Cell, Cell, list[int]]]) -> list[dict[str, Any]]:
    """The mean of the comparisons, seed by seed; nothing where they differ in what was measured, or share no two seeds.

    Runs of one seed may depend on one another, so they count once, as one number.
    """
    seeds = sorted(set.intersection(*(set(common) for _, _, common in pairs)))
    if len(seeds) < 2 or len({(a.label, a.protocol) for a, _, _ in pairs}) > 1:
        return []
    sides = [[scores_by_seed(cell) for cell in cells] for cells in ([a for a, _, _ in pairs], [b for _, b, _ in pairs])]
    means = [[fmean(scores[seed] for scores in side) for seed in seeds] for side in sides]
    difference = paired_difference(*means)
    return [{**_as_record(pairs[0][0], difference, seeds), "row": MEAN, "against": "", "p_holm": difference.p_value}]


def _record(a: Cell, b: Cell, seeds: Sequence[int]) -> dict[str, Any]:
    return {**_as_record(a, compare(a, b, seeds), seeds), "against": b.row}


def _as_record(a: Cell, difference: PairedDifference, seeds: Sequence[int]) -> dict[str, Any]:
    return {
        "table": a.table,
        "row": a.row,
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
        "p, Holm": f"{line['p_holm']:.2g}",
        "unpaired": bracket(line["unpaired_low"], line["unpaired_high"]),
        "correlation": correlation,
        "ratio of variances": saved,
    }
