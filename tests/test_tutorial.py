"""docs/tutorial.md as a reader follows it: commands are typed, files written, lines put into params.yaml."""

import re
import shlex
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, TINY
from tests.workflow.conftest import finished_copy
from transgan.config import plan

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SCALES = ("demo", "quick", "paper")
SETUP = "make setup\nsource .venv/bin/activate\n"  # what the tests run in
# The project in which the commands are typed is the one of tests/workflow, in which a run has finished.
NAMES = {
    "demo": "tiny",
    "transgan-cifar10": "one-cifar10",
    "model: cifar10": "model: small",
    "fid50k-train": "few",
    "images: 9600": "images: 256",
}


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of each fenced block of a page."""
    return BLOCK.findall((ROOT / page).read_text("utf-8"))


def merge(into: dict[str, Any], lines: dict[str, Any]) -> None:
    """Put lines under the keys that are there."""
    for key, value in lines.items():
        if isinstance(value, dict) and key in into:
            merge(into[key], value)
        else:
            assert key not in into, f"the page would overwrite {key}"
            into[key] = value


@pytest.mark.parametrize(("page", "run"), [("docs/tutorial.md", "mine-shapes"), ("docs/how-to.md", "small-cifar10-s1")])
def test_the_lines_of_a_page_fit_params_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, run: str
) -> None:
    content: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    lines = [text for language, text in blocks(page) if language == "yaml"]
    assert len(lines) == 3
    for text in lines:
        merge(content, yaml.safe_load(text))
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(content))
    resolved = {scale: plan.load(Path("params.yaml"), scale).run(run) for scale in SCALES}
    assert {scale: of.dataset.resolution for scale, of in resolved.items()} == {"demo": 8, "quick": 32, "paper": 32}


@pytest.mark.slow
def test_a_reader_follows_the_tutorial(tmp_path_factory: pytest.TempPathFactory) -> None:
    first, *rest = blocks("docs/tutorial.md")
    assert first == ("", SETUP)
    project = finished_copy(tmp_path_factory, tmp_path_factory.mktemp("tutorial") / "project")
    content: dict[str, Any] = yaml.safe_load(TINY.read_text())
    shown = {}
    for language, printed in rest:
        text = reduce(lambda text, name: text.replace(name, NAMES[name]), NAMES, printed)
        if language == "yaml":
            lines = yaml.safe_load(text)
            if "scales" in lines:
                lines["scales"] = {"tiny": lines["scales"]["tiny"]}
            merge(content, lines)
            (project.root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        elif language == "python":
            (project.root / "draw.py").write_text(text)
        else:
            shown |= {command: project.run(*shlex.split(command)) for command in text.splitlines()}
    jobs = {command: re.findall(r"^\d+ jobs: (.*)$", output, re.MULTILINE) for command, output in shown.items()}
    started = "snakemake --cores all -- results/tiny/"
    assert jobs[f"{started}scores/one-cifar10.json"] == []  # it has finished
    assert jobs[f"{started}scores/mine-cifar10.json"] == ["1 train, 1 score"]
    assert jobs[f"{started}scores/mine-shapes.json"] == ["1 reference, 1 train, 1 score"]
    assert re.search(r"\| My recipe +\|.*\d", (project.root / "results/tiny/tables/mine.md").read_text())
    assert "mine-cifar10" in shown['transgan trace mine "My recipe"']
    assert all((project.root / name).stat().st_size > 500 for name in ("samples.png", "shapes.png"))
