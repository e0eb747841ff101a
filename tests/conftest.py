"""Shared by all tests: one thread, no telemetry, and a params file small enough to train in seconds."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "workflow" / "params.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder with the tiny params file as its params.yaml; the current directory."""
    (tmp_path / "params.yaml").write_text(TINY.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path
