"""Fixtures of the data tests: a plan made of datasets alone, in an empty project folder that is the current directory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transgan.plan import Plan
from transgan.schema import Params

MakePlan = Callable[..., Plan]


@pytest.fixture
def make_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePlan:
    """make_plan(datasets, mirror=None) -> Plan at the scale `small`."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)

    def make(datasets: dict[str, Any], mirror: str | Path | None = None) -> Plan:
        nothing: dict[str, Any] = {kind: {} for kind in ("models", "recipes", "protocols", "classifiers", "runs")}
        scale = {"description": "tests", "comparable": False, **nothing, "datasets": {name: {} for name in datasets}}
        content = {"scale": "small", "scales": {"small": scale}, **nothing, "datasets": datasets, "tables": {}, "figures": {}}
        params = Params.model_validate({**content, "data": {"mirror": str(mirror) if mirror else None}})
        return Plan(params, "small", Path("params.yaml"))

    return make
