from pathlib import Path

import pytest

from tests.tracking.runs import PARAMS
from transgan.config import plan as plans
from transgan.config.plan import Plan


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The demo's plan; the current directory is an empty project folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return plans.load(PARAMS, "demo")
