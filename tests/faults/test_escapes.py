"""One list of nasty strings against every place that interprets text."""

import csv
import io
import re
import shlex
import unicodedata
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
import yaml
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from rich.table import Table

from tests.conftest import TINY
from tests.faults.conftest import Transgan
from transgan.config import plan as plans
from transgan.report import page, tables
from transgan.report.cells_frame import csv_text
from transgan.utils import escape
from transgan.utils.console import say, table_console

NASTY = [
    "\x1b]0;owned\x07\x1b[31mred",
    "\x9b2J",
    "over\rwritten\x08\x7f",
    "\u202egnp.exe",
    "hid\u200bden\u2066",
    "a\u2028b\u2029c\x85d",
    "caf\udce9",
    "a|b\nc|d",
    "a\n\nb",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &amp;",
    "[click](javascript:alert(1))",
    "![x](http://example.org/x.png)",
    "*bold* _it_ `code` \\",
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned #",
    'it\'s "both"',
    "' OR 1=1 --",
    '=HYPERLINK("http://example.org")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "costs $5 and $6",
    "$\\frac{1$",
    "$",
    "\\$5 and $6",
    "\\input{/etc/passwd}",
    "\\\\[1cm] * x",
    "[2cm]",
    "*",
    "100% & #1_{x}^~",
    "[red]x[/]",
    "[/nothing]",
    ":smile:",
    "{{ 7*7 }} {% x %}",
    "%s%n{0}",
]
CONTROLS = ("Cc", "Cs", "Zl", "Zp")


def hidden(text: str) -> list[str]:
    """Characters that control, reorder or hide text, other than line ends and tabs."""
    bidirectional = "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return [c for c in text if (unicodedata.category(c) in CONTROLS and c not in "\n\t") or c in bidirectional]


@pytest.fixture
def nasty_plan(project: Path) -> plans.Plan:
    """The tiny project with a row and a column for every string, which also are titles, sources and descriptions."""
    content = yaml.safe_load(TINY.read_text())
    texts = [text for text in NASTY if "\udce9" not in text]
    table = content["tables"]["small"]
    table["rows"] = [{"name": text, "runs": {"cifar10": ["one-cifar10"]}} for text in texts]
    table["title"] = table["source"] = table["note"] = content["scales"]["tiny"]["description"] = " ".join(texts)
    figure = {"kind": "curve", "runs": ["one-cifar10"], "title": " ".join(texts), "source": " ".join(texts)}
    content["figures"] = {"curve": figure}
    Path("params.yaml").write_text(yaml.safe_dump(content))
    return plans.load()


@pytest.mark.parametrize("text", NASTY)
def test_the_terminal_and_logs(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not hidden(escape.terminal(text))
    assert "\n" not in escape.one_line(text)
    say(text)
    console = table_console()
    console.print(text)
    table = Table("column")
    table.add_row(text)
    console.print(table)
    printed = capsys.readouterr().out
    assert not hidden(printed)
    if text.isascii() and text.isprintable():
        assert printed.startswith(f"{text}\n{text}\n")  # what looks like markup is printed as it is


def test_what_is_printed_of_a_params_file(nasty_plan: plans.Plan, transgan: Transgan) -> None:
    for command in (["summary"], ["plan"], ["data"], ["trace", "small", "nothing\x1b[31m"], ["train", "\x1b]0;x\x07"]):
        done = transgan(*command)
        assert not hidden(done.stdout + done.stderr), command
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", NASTY)
def test_the_shell(text: str) -> None:
    plan = plans.load(TINY)
    moved = plans.Plan(plan.params, plan.scale_name, Path(text))
    assert shlex.split(moved.command("train", "x")) == ["transgan", "train", "x", "--params", str(Path(text))]
    assert str(Path(text)) in shlex.split(moved.snakemake_command)


def test_markdown(nasty_plan: plans.Plan) -> None:
    tables.make(nasty_plan, "small")
    text = nasty_plan.paths.table("small").with_suffix(".md").read_text()
    assert not hidden(text)
    assert not re.search(r"<(?!br>|/?sup>)", text)
    assert not re.search(r"(?<!\\)\]\((?!\.\./|https?:)", text)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in rows[: len(nasty_plan.table("small").rows) + 2]}
    assert len(widths) == 1  # no cell has become two


def test_latex(nasty_plan: plans.Plan) -> None:
    tables.make(nasty_plan, "small")
    text = nasty_plan.paths.table("small").with_suffix(".tex").read_text()
    assert not hidden(text)
    assert r"\input" not in text
    assert "\n\n" not in text.split(r"\end{tabular}")[0]  # a paragraph's end inside a caption stops LaTeX
    assert not re.search(r"\\\\\s*[\[*]", text)  # the option of a line's end
    bare = re.sub(r"\\[\\&%$#_{}]", "", text.split("\n", 1)[1])
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert "#" not in bare
    assert "%" not in bare


def test_html(nasty_plan: plans.Plan) -> None:
    text = page.render(nasty_plan, {"dirty": ["<script>alert(1)</script>"], "commits": ["<img src=x>"], "cells": []})
    assert "<script>alert" not in text
    assert "<img src=x" not in text


@pytest.mark.parametrize("text", NASTY)
def test_plots(text: str) -> None:
    figure = Figure()
    with mpl.rc_context({"text.usetex": False}):
        figure.suptitle(escape.plot_text(text))
        figure.canvas.draw()
    assert not is_math_text(escape.plot_text(text).replace(r"\$", ""))
    assert not hidden(escape.plot_text(text))


def test_csv() -> None:
    texts = [text for text in NASTY if "\udce9" not in text]
    frame = pd.DataFrame({"text": texts, "number": [-1.5] * len(texts)})
    lines = list(csv.DictReader(io.StringIO(csv_text(frame), newline="")))
    assert {line["number"] for line in lines} == {"-1.5"}
    for line, text in zip(lines, texts, strict=True):
        assert not re.match(r"[=@\t\r]|[+-](?! )", line["text"])
        assert line["text"].removeprefix("'") == escape.terminal(text).removeprefix("'")


def test_the_papers_rows_of_techniques_stay_as_they_are() -> None:
    assert escape.csv_cell("+ Locality-aware initialization") == "+ Locality-aware initialization"
    assert escape.csv_cell("TransGAN") == "TransGAN"


@pytest.mark.slow
def test_mlflows_filters(project: Path) -> None:
    from transgan.tracking.connection import connect

    store: Any = connect("tiny")
    texts = [text for text in NASTY if text.isprintable()]
    runs = {text: store.create("run", {"stage": "test", "run": text}) for text in texts}
    for text, run in runs.items():
        assert store.find({"stage": "test", "run": text}) == run
    assert store.find({"stage": "test", "run": "' or tags.`run` = 'x"}) is None
