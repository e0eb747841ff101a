"""The paper's own numbers and their sources (reported.csv)."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

OUT_OF_MEMORY = "OOM"


@dataclass(frozen=True)
class PaperNumber:
    """One number of the paper: `text` as printed, `value` None where it is no number (out of memory).

    `verified` and `std_verified`: whether the number and its ± could be checked against `source`.
    """

    text: str
    value: float | None
    std: float | None
    note: str
    source: str
    verified: bool
    std_verified: bool

    @property
    def out_of_memory(self) -> bool:
        """Whether the paper reports that this did not fit the authors' devices."""
        return self.text == OUT_OF_MEMORY


Key = tuple[str, str, str, str]


@cache
def paper_numbers() -> dict[Key, PaperNumber]:
    """(table, row, dataset, metric) -> the paper's number."""
    return {(row["table"], row["row"], row["dataset"], row["metric"]): _number(row) for row in _rows("reported.csv")}


def _number(row: dict[str, str]) -> PaperNumber:
    text = row["value"]
    return PaperNumber(
        text=text,
        value=None if text == OUT_OF_MEMORY else float(text),
        std=float(row["std"]) if row["std"] else None,
        note=row["note"],
        source=row["source"],
        verified=row["verified"] == "yes",
        std_verified=row["std_verified"] == "yes",
    )


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("transgan.report").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
