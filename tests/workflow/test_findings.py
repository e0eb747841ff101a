"""The target `findings`: which runs it questions. That reproduce_tables has none of it, test_agreement.py shows."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from ..conftest import ROOT, TINY
from .dags import snakemake_stages


def commands(content: dict[str, Any], folder: Path) -> dict[str, str]:
    """Verb of a finding -> its command, at the scale of the tiny params file."""
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    (folder / "workflow").symlink_to(ROOT / "workflow")
    found = snakemake_stages(folder, "tiny", "findings")
    of_findings = [seen for seen in found.values() if all("/findings/" in path for path in seen.outputs)]
    return {seen.command.split()[1]: seen.command for seen in of_findings}


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return yaml.safe_load(TINY.read_text())


def test_the_first_run_that_leaks_is_measured_in_its_first_steps(content: dict[str, Any], tmp_path: Path) -> None:
    content["recipes"]["short"] |= {"leak_generator_gradient": False, "images": 6400}
    for run in ("two-cifar10", "three-cifar10"):
        content["runs"][run].setdefault("changes", {}).setdefault("recipe", {})["leak_generator_gradient"] = True
    found = commands(content, tmp_path)
    assert found["leak"] == "transgan leak two-cifar10 --images 3200 --scale tiny"  # 200 steps of 16 images
    assert found["fid-budget"] == "transgan fid-budget --run one-cifar10 --scale tiny"


def test_a_short_run_is_measured_whole(content: dict[str, Any], tmp_path: Path) -> None:
    content["recipes"]["short"]["leak_generator_gradient"] = True
    assert commands(content, tmp_path)["leak"] == "transgan leak one-cifar10 --images 512 --scale tiny"


def test_where_no_run_leaks_there_is_nothing_to_measure(content: dict[str, Any], tmp_path: Path) -> None:
    content["recipes"]["short"]["leak_generator_gradient"] = False
    assert "leak" not in commands(content, tmp_path)
