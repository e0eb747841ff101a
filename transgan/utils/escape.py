"""Text that people or files supply, made safe for each place that interprets text: one function per place.

Names, titles and paths come from params files, archives, servers and checkpoints, and may contain anything. HTML is
escaped by Jinja (autoescape), shell words by `shlex`. Imports nothing that takes time.
"""

import re

from transgan.utils.secrets import mask

# Control characters (C0 without tab and newline, DEL, C1), and characters that reorder, hide or break text.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\U000e0000-\U000e007f]"
)
_MARKDOWN = re.compile(r"([\\`*_\[\]|])")
_ACTIVE = re.compile(r"!\[|\]\((?=\s*(?!https?:)[a-zA-Z][\w+.-]*:)")
# What a spreadsheet runs as a formula. A sign before a space is not: the paper's tables have rows `+ technique`.
_FORMULA = re.compile(r"[=@\t]|[+-](?! )")


def terminal(text: str) -> str:
    r"""`text` for a terminal or a log: control and hidden characters as escapes such as \x1b, credentials masked."""
    return visible(mask(text))


def visible(text: str) -> str:
    r"""`text` with characters that control, reorder or hide text as escapes such as \x1b."""
    return _HIDDEN.sub(lambda found: _escape_sequence(ord(found[0])), text)


def _escape_sequence(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: str) -> str:
    """`text` for a terminal or a log, in one line."""
    return terminal(" ".join(text.split()))


def _words(text: str) -> str:
    return visible(" ".join(text.split()))


def markdown(text: str) -> str:
    """`text` as words of a Markdown table or paragraph: no markup, HTML, cell or line of it takes effect."""
    escaped = _MARKDOWN.sub(r"\\\1", _words(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_note(text: str) -> str:
    """`text` that may use Markdown's code and links (to pages, not to scripts), in one line, without HTML or images."""
    linked = _ACTIVE.sub(lambda found: f"\\{found[0]}", _words(text))
    return linked.replace("&", "&amp;").replace("<", "&lt;")


def csv_cell(text: str) -> str:
    """`text` as a cell of a csv file: an apostrophe keeps a spreadsheet from running it as a formula.

    A carriage return would end the line for some readers.
    """
    plain = visible(text)
    return f"'{plain}" if _FORMULA.match(plain) else plain


def plot_text(text: str) -> str:
    r"""`text` in a figure: matplotlib would typeset what stands between two dollars, or fail to."""
    return "\n".join(visible(line) for line in text.split("\n")).replace("$", r"\$")


_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "[": "{[}",  # after a line's end it would be an option
        "]": "{]}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "×": r"$\times$",
        "†": r"$\dagger$",
        "≈": r"$\approx$",
        "–": "--",
        "−": "$-$",
    }
)


def latex(text: str) -> str:
    """`text` as words of a LaTeX document, in one paragraph."""
    escaped = _words(text).translate(_LATEX)
    return f"{{*}}{escaped[1:]}" if escaped.startswith("*") else escaped  # `\\\\*` at a line's end is a command


def mlflow_filter_value(text: str) -> str | None:
    """`text` as a quoted value in a filter of MLflow, which knows no escapes; None if it contains both quotes."""
    for quote in ("'", '"'):
        if quote not in text:
            return f"{quote}{text}{quote}"
    return None
