"""The target `rehearse`."""

import json
from pathlib import Path

import pytest

from .conftest import make_project


@pytest.mark.slow
def test_every_run_is_rehearsed(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.run("snakemake", "--cores", "all", "--", "rehearse")
    recorded = json.loads((project.root / "state/tiny/rehearsal.json").read_text())
    (runs,) = recorded.values()
    assert {name: run["result"] for name, run in runs.items()} == dict.fromkeys(
        ("one-cifar10", "two-cifar10", "three-cifar10"), "shapes only"
    )
    assert "one-cifar10" in (project.root / "logs/tiny/rehearse.log").read_text()
