"""Configuration of tables and figures: which runs feed which cell of the paper."""

from itertools import product
from typing import Literal, Self

from pydantic import Field, model_validator

from transgan.schema.base import Strict, added_option

TableMetric = Literal["is", "fid"]
MOST_FACTORS = 8  # of a full factorial design: 256 rows


class Column(Strict):
    """A dataset of a table, with the metrics printed for it."""

    dataset: str
    title: str
    metrics: tuple[TableMetric, ...] = Field(min_length=1)


class Factor(Strict):
    """A factor of a full factorial design: its name, and its two levels."""

    name: str = Field(min_length=1)
    levels: tuple[str, str] = Field(description="what it is in rows that do not name it, and in rows that do")


class Row(Strict):
    """A row of a table: its name in the paper and, per column, the runs behind our number (several: training seeds)."""

    name: str
    title: str | None = Field(None, description="its name in figures, where `name` says too little outside the table")
    runs: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="column dataset -> runs; a column left out is only quoted"
    )
    authors_curve: tuple[str, ...] = Field(
        (), description="columns whose runs are held against the authors' learning curve while training is partial"
    )
    factors: tuple[str, ...] = added_option(
        (), description="of the table's `factors`, those that have their second level in this row"
    )


class TableConfig(Strict):
    """A table of scores beside the paper's, or of what runs cost; in the latter, columns only list the runs."""

    kind: Literal["scores", "cost"] = "scores"
    title: str
    source: str = Field(description="the table of the paper that it stands for, or that it is ours")
    note: str | None = None
    columns: tuple[Column, ...] = Field(min_length=1)
    rows: tuple[Row, ...] = Field(min_length=1)
    comparisons: tuple[tuple[str, str], ...] = added_option(
        (),
        description="pairs of rows, [row, against], that `transgan paired` compares: one change in several settings. "
        "Without: every row with the first one, and with the one above it",
    )
    factors: tuple[Factor, ...] = added_option(
        (),
        max_length=MOST_FACTORS,
        description="factors of a full factorial design, in the order in which the paper adds them; the rows are then "
        "all combinations of their levels, each once (`transgan factorial`)",
    )

    @property
    def run_names(self) -> tuple[str, ...]:
        """Every run that feeds a cell, each once, in order of appearance."""
        return tuple(dict.fromkeys(run for row in self.rows for runs in row.runs.values() for run in runs))

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        """A cell is named by its row's name, its column's title and its metric."""
        for what, names in (
            ("rows are named", [row.name for row in self.rows]),
            ("columns are titled", [column.title for column in self.columns]),
            ("columns have the dataset", [column.dataset for column in self.columns]),
        ):
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"two {what} {name!r}")
        return self

    @model_validator(mode="after")
    def _comparisons_are_of_rows(self) -> Self:
        names = [row.name for row in self.rows]
        for pair in self.comparisons:
            for name in pair:
                if name not in names:
                    raise ValueError(f"comparisons name the row {name!r}, rows are: {'; '.join(names)}")
            if pair[0] == pair[1]:
                raise ValueError(f"comparisons compare the row {pair[0]!r} with itself")
            if self.comparisons.count(pair) > 1:
                raise ValueError(f"comparisons have {pair[0]!r} and {pair[1]!r} twice")
        return self

    @model_validator(mode="after")
    def _cells_are_columns(self) -> Self:
        columns = {column.dataset for column in self.columns}
        for row in self.rows:
            for dataset in [*row.runs, *row.authors_curve]:
                if dataset not in columns:
                    raise ValueError(
                        f"row {row.name!r} names column {dataset!r}, columns are: {', '.join(sorted(columns))}"
                    )
        return self

    @model_validator(mode="after")
    def _rows_are_all_combinations(self) -> Self:
        """A design says nothing of interactions unless it is full."""
        names = [factor.name for factor in self.factors]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two factors are named {name!r}")
        row_of: dict[frozenset[str], str] = {}
        for row in self.rows:
            for name in row.factors:
                if name not in names:
                    known = f"factors are: {', '.join(names)}" if names else "the table has no `factors`"
                    raise ValueError(f"row {row.name!r} names factor {name!r}, {known}")
            other = row_of.setdefault(frozenset(row.factors), row.name)
            if names and other != row.name:
                raise ValueError(f"rows {other!r} and {row.name!r} have the same `factors`")
        if not names:
            return self
        if len(names) < 2 or self.kind != "scores":
            raise ValueError("`factors` need two or more of them, in a table of scores")
        for switches in product((False, True), repeat=len(names)):
            combination = [name for name, second in zip(names, switches, strict=True) if second]
            if frozenset(combination) not in row_of:
                raise ValueError(
                    f"no row has `factors: [{', '.join(combination)}]`; a full design has all combinations"
                )
        return self


FigureKind = Literal[
    "samples",
    "curve",
    "dynamics",
    "bars",
    "compute",
    "interpolation",
    "neighbours",
    "attention",
    "attention_distance",
    "precision_recall",
    "positions",
]


class FigureConfig(Strict):
    """A figure: its kind says how it is drawn, its runs what from."""

    kind: FigureKind
    title: str
    source: str = Field(description="the figure or table of the paper that it stands for, or that it is ours")
    runs: tuple[str, ...] = Field(min_length=1)
    table: str | None = Field(None, description="table whose rows name the runs (bars only)")

    @model_validator(mode="after")
    def _bars_have_a_table(self) -> Self:
        if (self.kind == "bars") != (self.table is not None):
            raise ValueError("`table` is given with `kind: bars`, and only then")
        return self
