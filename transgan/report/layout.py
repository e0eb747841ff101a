"""A table in the paper's layout, and its text as Markdown and LaTeX. Does not import pandas itself."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from transgan.utils import escape

if TYPE_CHECKING:
    import pandas as pd

UNVERIFIED = "†"
UNVERIFIED_NOTE = "not verified: recalled from the paper, without a source to check it against"

# The heading in the Markdown under which each number is traced.
DETAILS = "## Where our numbers come from"


@dataclass(frozen=True)
class Text:
    """One printed cell; `marks` refer to footnotes."""

    text: str
    marks: tuple[str, ...] = ()


BLANK = Text("–")


@dataclass(frozen=True)
class Layout:
    """Everything that a table prints.

    `main` holds Text. Its index is the rows, named by the heading of the first column; its columns are single headings
    or pairs (group, heading). `details` holds strings. `warning` is the one sentence that a reader must not miss.
    """

    name: str
    title: str
    source: str
    warning: str
    main: "pd.DataFrame"
    details: "pd.DataFrame | None"
    notes: tuple[str, ...]
    footnotes: tuple[tuple[str, str], ...]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(group, heading) of every column of `main`; the group is empty where there are no groups."""
        return [column if isinstance(column, tuple) else ("", str(column)) for column in self.main.columns]

    @property
    def plain_notes(self) -> list[str]:
        """The notes without Markdown."""
        return [_without_links(note).replace("`", "") for note in self.notes]

    @property
    def rows(self) -> list[tuple[str, list[Text]]]:
        """Name and cells of every row of `main`."""
        return list(zip(self.main.index, self.main.to_numpy().tolist(), strict=True))


@dataclass
class Footnotes:
    """Letters for texts, in order of first use; the dagger for unverified numbers."""

    letters: dict[str, str] = field(default_factory=dict)
    unverified: bool = False

    def mark(self, note: str) -> str:
        """The letter of a note."""
        return self.letters.setdefault(note, "abcdefghijklmnopqrstuvwxyz"[len(self.letters)])

    def dagger(self) -> str:
        """The mark of an unverified number."""
        self.unverified = True
        return UNVERIFIED

    def listed(self) -> tuple[tuple[str, str], ...]:
        """(mark, text) of every footnote used."""
        letters = [(letter, note) for note, letter in self.letters.items()]
        return ((UNVERIFIED, UNVERIFIED_NOTE), *letters) if self.unverified else tuple(letters)


def markdown(layout: Layout) -> str:
    """The table as GitHub-flavoured Markdown."""
    headings = [
        f"{escape.markdown(group)}<br>{escape.markdown(heading)}" if group else escape.markdown(heading)
        for group, heading in layout.columns
    ]
    main = layout.main.map(_markdown_text).rename(index=escape.markdown).set_axis(headings, axis="columns")
    parts = [
        f"# {escape.markdown(layout.title)}",
        f"{escape.markdown(layout.source)}.",
        f"**{escape.markdown(layout.warning)}**" if layout.warning else "",
        main.to_markdown(colalign=("left", *["right"] * main.shape[1]), disable_numparse=True),
        "\n".join(f"<sup>{mark}</sup> {escape.markdown(text)}  " for mark, text in layout.footnotes),
        "\n".join(f"- {escape.markdown_note(note)}" for note in layout.notes),
        *([] if layout.details is None else [DETAILS, _markdown_details(layout.details)]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _markdown_text(cell: Text) -> str:
    return escape.markdown(cell.text) + (f"<sup>{' '.join(cell.marks)}</sup>" if cell.marks else "")


def _markdown_details(details: "pd.DataFrame") -> str:
    return details.map(escape.markdown).rename(columns=escape.markdown).to_markdown(index=False, disable_numparse=True)


def latex(layout: Layout) -> str:
    """The table as a LaTeX `table*` float (package booktabs); the details stay in the Markdown and csv files."""
    main = layout.main.map(_latex_text).rename(index=escape.latex, columns=escape.latex)
    # The heading of the first column stands in the line of the columns' headings.
    main.columns = main.columns.set_names([None] * (main.columns.nlevels - 1) + [escape.latex(str(main.index.name))])
    main.index.name = None
    caption = f"{escape.latex(layout.title)} ({escape.latex(layout.source)})."
    written = main.style.to_latex(
        hrules=True,
        column_format="l" + "r" * main.shape[1],
        multicol_align="c",
        environment="table*",
        position="t",
        position_float="centering",
        caption=caption + (rf" \textbf{{{escape.latex(layout.warning)}}}" if layout.warning else ""),
        label=f"tab:{layout.name}",
    )
    head, tabular, foot = re.split(r"(?<=\\toprule\n)|(?=\\end{table\*})", written)
    if main.columns.nlevels > 1:
        groups, rest = tabular.split("\n", 1)
        tabular = "\n".join([groups, _rules(layout.columns), rest])
    notes = [
        *(rf"${{}}^{{{_latex_marks((mark,))}}}$ {escape.latex(text)}\\" for mark, text in layout.footnotes),
        *(rf"{_latex_note(note)}\\" for note in layout.notes),
    ]
    if notes:
        notes = [r"\par\smallskip\raggedright\footnotesize", *notes, ""]
    return "% Needs \\usepackage{booktabs}.\n" + head + tabular + "\n".join(notes) + foot


def _rules(columns: Sequence[tuple[str, str]]) -> str:
    """A rule under each group of columns; the first column of the table is that of the rows' names."""
    groups = [group for group, _ in columns]
    spans = [
        (groups.index(group) + 2, groups.index(group) + 1 + groups.count(group)) for group in dict.fromkeys(groups)
    ]
    return " ".join(rf"\cmidrule(lr){{{start}-{stop}}}" for start, stop in spans)


def _latex_text(cell: Text) -> str:
    return escape.latex(cell.text) + (f"${{}}^{{{_latex_marks(cell.marks)}}}$" if cell.marks else "")


def _latex_marks(marks: Sequence[str]) -> str:
    return ",".join(r"\dagger" if mark == UNVERIFIED else rf"\mathrm{{{mark}}}" for mark in marks)


def _latex_note(note: str) -> str:
    """A note with its `code` in typewriter, and with the text of its links."""
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", escape.latex(_without_links(note)))


def _without_links(note: str) -> str:
    """A note with the text of its links alone."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", note)
