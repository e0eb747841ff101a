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
