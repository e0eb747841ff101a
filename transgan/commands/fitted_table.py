"""Tables as wide as the terminal: columns are left out by priority, and no cell is cut.

Where standard output is no terminal (a pipe, a file), a table has all of its columns, or those that fit COLUMNS.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from transgan.utils.console import table_console

UNKNOWN = "?"
_PADDING = 1  # right of each cell; the box adds a space left of it, and one at the end of the line


@dataclass(frozen=True)
class Column:
    """A column; where not all fit, those with the highest `rank` are left out first. Rank 0 always stays."""

    title: str
    rank: int = 0
    justify: Literal["left", "right"] = "right"


def fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Indices of the columns to show in `width` characters, or all that say something if it is None.

    A column whose cells are all empty or unknown is left out.
    """
    shown = [
        index
        for index, column in enumerate(columns)
        if not column.rank or not rows or any(row[index] not in ("", UNKNOWN) for row in rows)
    ]
    while width is not None and _width(columns, rows, shown) > width:
        last = max(shown, key=lambda index: columns[index].rank)
        if not columns[last].rank:
            break
        shown.remove(last)
    return shown


def print_fitted(console: Console, title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """Print a table; returns the titles of the columns for which there was no room."""
    shown = fitting(columns, rows, console.width)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, _PADDING, 0, 0))
    for index in shown:
        table.add_column(columns[index].title, justify=columns[index].justify, overflow="fold")
    for row in rows:
        table.add_row(*(row[index] for index in shown))
    console.print(title)
    console.print(table)
    wanted = fitting(columns, rows, None)
    return [columns[index].title for index in wanted if index not in shown]


def console_for(*tables: tuple[Sequence[Column], Sequence[Sequence[str]]]) -> Console:
    """A console for these tables: as wide as the terminal, or wide enough for all columns where there is none."""
    console = table_console()
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdecimal():
        widths = [_width(columns, rows, fitting(columns, rows, None)) for columns, rows in tables]
        console.width = max(console.width, *widths)
    return console


def _width(columns: Sequence[Column], rows: Sequence[Sequence[str]], shown: Sequence[int]) -> int:
    """Characters of a printed line."""
    cells = [max(cell_len(text) for text in (columns[index].title, *(row[index] for row in rows))) for index in shown]
    return sum(cells) + (_PADDING + 1) * len(cells) + 1
