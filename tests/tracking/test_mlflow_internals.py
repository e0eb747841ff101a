"""Each use of MLflow beyond its documented interfaces, run with the release in uv.lock."""

import threading
import time
from pathlib import Path

import pytest
from mlflow.store.db import utils

from tests.tracking.runs import opened
from transgan.config.plan import Plan
from transgan.tracking import mlflow_internals
from transgan.tracking.connection import connect
from transgan.tracking.mlflow_internals import SystemMetricsMonitor, SystemMonitor, limit_attempts


def test_a_database_that_cannot_be_opened_is_tried_a_limited_number_of_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utils, "MAX_RETRY_COUNT", utils.MAX_RETRY_COUNT)  # restored at the end
    monkeypatch.setattr(utils.time, "sleep", lambda seconds: None)
    tried: list[str] = []
    create = utils.create_sqlalchemy_engine
    monkeypatch.setattr(utils, "create_sqlalchemy_engine", lambda uri: tried.append(uri) or create(uri))
    limit_attempts()
    with pytest.raises(Exception, match="unable to open database file"):
        utils.create_sqlalchemy_engine_with_retry(f"sqlite:///{tmp_path}")  # a folder
    assert len(tried) == mlflow_internals.DATABASE_ATTEMPTS


def test_the_monitor_starts_over_after_a_failure_and_stops_when_it_is_told(
    demo: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_internals, "SYSTEM_METRICS_SECONDS", 0.05)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    begun: list[bool] = []
    own = SystemMetricsMonitor.monitor

    def failing_once(self: SystemMetricsMonitor) -> None:
        begun.append(True)
        if len(begun) > 1:
            own(self)

    monkeypatch.setattr(SystemMetricsMonitor, "monitor", failing_once)
    tracker = opened(demo)
    run_id = str(tracker.run_id)
    monitor = tracker._monitor
    assert isinstance(monitor, SystemMonitor)
    thread = monitor._process
    until = time.monotonic() + 60
    while not logged(run_id) and time.monotonic() < until:
        time.sleep(0.05)
    assert logged(run_id)
    tracker.finish()
    thread.join(10)
    assert not thread.is_alive()
    assert thread not in threading.enumerate()
    assert len(begun) >= 2


def logged(run_id: str) -> bool:
    """Whether the run has measurements of the machine."""
    return any(key.startswith("system/") for key in connect("demo").client.get_run(run_id).data.metrics)
