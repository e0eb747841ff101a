"""docs/tutorial.md and docs/how-to.md: their lines fit into params.yaml."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from transgan.config import plan

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SCALES = ("demo", "quick", "paper")


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
