"""A params file is strict YAML, and only its own names are allowed."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TINY
from transgan.config import params_file
from transgan.config import plan as plans
from transgan.errors import UserError

FILE = Path("params.yaml")


def test_a_missing_or_broken_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not there"):
        plans.load(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="not readable as YAML"):
        plans.load(tmp_path / "broken.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\nb: {c: 1, d: {e: 2}\nf: 3\n",
            r"line 3, column 1: .*\(while parsing a flow mapping that begins in line 2\)",
        ),
        ("a:\n\t- b\n", r"line 2, column 1: found character that cannot start any token .*begins? in line"),
        ("a: 1\n  b: 2\n", r"line 2, column 4: mapping values are not allowed in this context;"),
        ("a: [1\n", r"line 2, column 1: did not find expected"),
        ("a: 1\na: 2\n", r"line 2, column 1: the key 'a' stands twice$"),
        ("a: \0\n", r"control characters are not allowed"),
    ],
)
def test_a_mistake_in_yaml_is_one_line_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        params_file.read(file)
    said = str(raised.value)
    assert said.startswith(f"{file}: not readable as YAML: ")
    assert "unicode string" not in said
    assert "\n" not in said


def test_parsing_does_not_change_its_input(content: dict[str, Any]) -> None:
    before = copy.deepcopy(content)
    params_file.parse(content, FILE)
    assert content == before


@pytest.mark.parametrize(
    "text", ["scale: tiny\n{}scale: tiny\n", "{}\nfigures: {{}}\n", "{}", "a: [{{b: 1, b: 2}}]\n{}"]
)
def test_a_duplicate_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text.format(TINY.read_text()))
    if text == "{}":
        plans.load(path)
    else:
        with pytest.raises(UserError, match=r"the key '(scale|figures|b)' stands twice"):
            plans.load(path)


def test_a_key_that_replaces_a_merged_one_is_no_duplicate(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("top: {<<: &inner {<<: &base {a: 1, b: 2}, b: 3}, a: 4}\nlast: {<<: *inner, b: 5}\nsame: *inner\n")
    assert params_file.read(path) == {"top": {"a": 4, "b": 3}, "last": {"a": 1, "b": 5}, "same": {"a": 1, "b": 3}}
