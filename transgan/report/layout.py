"""A table as text in the paper's layout, before it is Markdown, LaTeX or HTML: groups of columns, rows, footnotes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

UNVERIFIED = "†"
UNVERIFIED_NOTE = "not verified: recalled from the paper, could not be checked against it"


# The heading in the Markdown under which each number is traced.
DETAILS = "## Where our numbers come from"


@dataclass(frozen=True)
class Text:
    """One printed cell; `marks` refer to footnotes."""

    text: str
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Consecutive columns under one heading."""

    title: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """A table: a heading column, groups of columns, and rows of as many cells."""

    corner: str
    groups: tuple[Group, ...]
    rows: tuple[tuple[str, tuple[Text, ...]], ...]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(group title, column title) of every column."""
        return [(group.title, column) for group in self.groups for column in group.columns]


@dataclass(frozen=True)
class Layout:
    """Everything a table prints. `warning` is the one sentence that nobody may overlook."""

    name: str
    title: str
    source: str
    warning: str
    main: Grid
    details: Grid | None
    notes: tuple[str, ...]
    footnotes: tuple[tuple[str, str], ...]


@dataclass
class Footnotes:
    """Letters for texts, in order of first use; the dagger for what could not be verified."""

    letters: dict[str, str] = field(default_factory=dict)
    unverified: bool = False

    def mark(self, note: str) -> str:
        """The letter of a note."""
        return self.letters.setdefault(note, "abcdefghijklmnopqrstuvwxyz"[len(self.letters)])

    def dagger(self) -> str:
        """The mark of a number that nobody could check."""
        self.unverified = True
        return UNVERIFIED

    def listed(self) -> tuple[tuple[str, str], ...]:
        """(mark, text) of every footnote used."""
        letters = [(letter, note) for note, letter in self.letters.items()]
        return ((UNVERIFIED, UNVERIFIED_NOTE), *letters) if self.unverified else tuple(letters)


def markdown(layout: Layout) -> str:
    """The table as GitHub-flavoured Markdown."""
    warning = [f"**{layout.warning}**", ""] if layout.warning else []
    details = ["", DETAILS, "", *_markdown_grid(layout.details)] if layout.details else []
    footnotes = ["", *(f"<sup>{mark}</sup> {text}  " for mark, text in layout.footnotes)] if layout.footnotes else []
    notes = ["", *(f"- {note}" for note in layout.notes)] if layout.notes else []
    lines = [
        f"# {layout.title}",
        "",
        f"{layout.source}.",
        "",
        *warning,
        *_markdown_grid(layout.main),
        *footnotes,
        *notes,
        *details,
    ]
    return "\n".join(line.rstrip() if not line.endswith("  ") else line for line in lines) + "\n"


def _markdown_grid(grid: Grid) -> list[str]:
    header = [grid.corner, *(f"{group}<br>{column}" if group else column for group, column in grid.columns)]
    return [
        _markdown_row(header),
        "|" + " --- |" + " ---: |" * (len(header) - 1),
        *(_markdown_row([title, *(_markdown_text(cell) for cell in row)]) for title, row in grid.rows),
    ]


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_text(cell: Text) -> str:
    escaped = cell.text.replace("|", "\\|")
    return escaped + (f"<sup>{' '.join(cell.marks)}</sup>" if cell.marks else "")


def latex(layout: Layout) -> str:
    """The table as a LaTeX `table*` float (package booktabs); the details stay in the Markdown and csv files."""
    footnotes = [rf"  ${{}}^{{{_latex_marks((mark,))}}}$ {_escape(text)}\\" for mark, text in layout.footnotes]
    notes = [rf"  {_latex_note(note)}\\" for note in layout.notes]
    caption = f"{_escape(layout.title)} ({_escape(layout.source)})." + (
        rf" \textbf{{{_escape(layout.warning)}}}" if layout.warning else ""
    )
    lines = [
        "% Needs \\usepackage{booktabs}.",
        r"\begin{table*}[t]",
        r"  \centering",
        rf"  \caption{{{caption}}}",
        rf"  \label{{tab:{layout.name}}}",
        *(f"  {line}" for line in _latex_grid(layout.main)),
        *([r"  \par\smallskip\raggedright\footnotesize", *footnotes, *notes] if footnotes or notes else []),
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _latex_grid(grid: Grid) -> list[str]:
    spans, rules, start = [], [], 2
    for group in grid.groups:
        stop = start + len(group.columns) - 1
        spans.append(rf"\multicolumn{{{len(group.columns)}}}{{c}}{{{_escape(group.title)}}}")
        rules.append(rf"\cmidrule(lr){{{start}-{stop}}}")
        start = stop + 1
    return [
        rf"\begin{{tabular}}{{l{'r' * len(grid.columns)}}}",
        r"  \toprule",
        rf"  & {' & '.join(spans)} \\",
        f"  {' '.join(rules)}",
        rf"  {_escape(grid.corner)} & {' & '.join(_escape(column) for _, column in grid.columns)} \\",
        r"  \midrule",
        *(rf"  {_escape(title)} & {' & '.join(_latex_text(cell) for cell in row)} \\" for title, row in grid.rows),
        r"  \bottomrule",
        r"\end{tabular}",
    ]


def _latex_text(cell: Text) -> str:
    return _escape(cell.text) + (f"${{}}^{{{_latex_marks(cell.marks)}}}$" if cell.marks else "")


def _latex_marks(marks: Sequence[str]) -> str:
    return ",".join(r"\dagger" if mark == UNVERIFIED else rf"\mathrm{{{mark}}}" for mark in marks)


def _latex_note(note: str) -> str:
    """A note with its `code` in typewriter."""
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", _escape(note))


_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "†": r"$\dagger$",
    "≈": r"$\approx$",
    "–": "--",
    "−": "$-$",
}


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
