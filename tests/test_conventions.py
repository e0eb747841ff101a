"""docs/conventions.md: its tables have answers, the commands that it names exist, and so do their options."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

import transgan
from tests.conftest import ROOT, TINY
from transgan.cli import app

PAGE = (ROOT / "docs/conventions.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (?P<convention>.+?) \| (?P<here>[^|]*) \| (?P<how>.*) \|$", re.MULTILINE)
ROWS = [row for row in ROW.finditer(PAGE) if row["here"] not in ("here", "---")]
CODE = re.findall(r"`([^`]+)`", "\n".join(row["how"] for row in ROWS))


def commands(program: str) -> list[list[str]]:
    """The words after a program's name, of every command on the page, also inside of a loop of the shell."""
    parts = [part.strip().removeprefix("do ") for code in CODE for part in code.split(";")]
    return [shlex.split(part)[1:] for part in parts if part.startswith(f"{program} ")]


def test_every_row_has_an_answer_and_a_reason() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    assert len(ROWS) == len(lines) - 1 * PAGE.count("| convention | here |") > 60
    for row in ROWS:
        assert row["here"] in ("yes", "partly", "no"), row[0]
        assert row["how"].strip(), row[0]


def test_named_commands_and_options_exist() -> None:
    group = typer.main.get_command(app)
    verbs = group.commands  # type: ignore[attr-defined]
    named = commands("transgan")
    assert len(named) > 10
    for verb, *words in named:
        options = verbs[verb].params if verb in verbs else group.params if verb.startswith("-") else []
        known = {option for parameter in options for option in parameter.opts}
        assert options, f"transgan has no {verb}"
        assert {word for word in (verb, *words) if word.startswith("--")} <= known, (verb, words)


def test_named_options_of_snakemake_exist() -> None:
    cli = pytest.importorskip("snakemake.cli")
    known = set(cli.get_argument_parser()._option_string_actions)
    named = commands("snakemake")
    assert named
    for words in named:
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known, words


def test_named_commands_of_dvc_exist() -> None:
    parser = pytest.importorskip("dvc.cli.parser").get_main_parser()
    for words in commands("dvc"):
        parser.parse_args([word for word in words if word != "..."])


def test_named_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[0] for words in commands("make")} <= targets


def test_named_functions_exist() -> None:
    names = {match[1] for code in CODE if (match := re.match(r"transgan\.(\w+)", code))}
    assert {"evaluate", "build", "load_generator"} <= names
    assert all(hasattr(transgan, name) for name in names)


def test_the_small_project_of_the_catalog_is_that_of_the_tests() -> None:
    small = ROOT / ".test" / "params.yaml"
    assert small.is_symlink()
    assert small.resolve() == Path(TINY).resolve()
