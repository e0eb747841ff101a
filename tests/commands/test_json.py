"""`--json` of the tools: one JSON value on standard output, with what the printed text has."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from transgan import cli
from transgan.config import plan as plans
from transgan.utils import files


def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["transgan", *words, "--json"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    return json.loads(capsys.readouterr().out)


def test_tools_print_json(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def tool(*words: str) -> Any:
        return printed(monkeypatch, capsys, *words)

    assert tool("doctor")["scale"].startswith("tiny of params.yaml")
    assert [row["dataset"] for row in tool("data")["datasets"]] == ["digits", "cifar10"]
    assert tool("summary") == {"scale": "tiny", "comparable": False, "tables": []}
    assert tool("references") == {"references": []}
    cells = tool("trace", "small", "Both seeds")["cells"]
    assert [(cell["metric"], cell["ours"]) for cell in cells] == [("is", None), ("fid", None)]


def test_clean_lists_and_deletes(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unused = plans.load().paths.workspace("train", "one-cifar10", "0123456789abcdef")
    files.write_text(unused / "note", "12345")
    (row,) = printed(monkeypatch, capsys, "clean")["unused"]
    assert row == {"folder": str(unused), "bytes": 5, "removed": False}
    (row,) = printed(monkeypatch, capsys, "clean", "--delete")["unused"]
    assert row["removed"]
    assert not unused.exists()
