"""`transgan ui`: the addresses of this project's pages, and the server that it becomes."""

import os
import socket
import sys
from pathlib import Path

import pytest

from transgan.commands import ui as tool
from transgan.config import plan as plans
from transgan.errors import UserError
from transgan.tracking import pages
from transgan.tracking.connection import connect


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_pages_of_the_scale_are_printed_and_the_projects_database_is_served(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, arguments: started.append(arguments))
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "")
    plan = plans.load()
    with pytest.raises(UserError, match="nothing has been logged yet; run `transgan sync`"):
        tool.ui(plan, free_port())
    store = connect("tiny")
    port = free_port()
    tool.ui(plan, port)
    lines = capsys.readouterr().out.splitlines()
    where = f"runs: http://127.0.0.1:{port}/#/experiments/{store.experiment}/runs?workflowType=machine_learning"
    assert lines[0] == where
    assert started == [
        [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    ]
    assert os.environ["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{project}/mlflow.db"
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_port_in_use_is_a_user_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "mlflow.db").write_bytes(b"")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} cannot be used .*--port"):
            tool.ui(plans.load(), port)


def test_of_a_server_only_the_addresses_are_printed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret-word@lab.example/")
    monkeypatch.setattr(pages, "addresses", lambda plan: {"runs": "/#/experiments/7/runs"})
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("no server of our own"))
    tool.ui(plans.load(), 5000)
    out = capsys.readouterr().out
    assert "lab.example/#/experiments/7/runs" in out
    assert "secret-word" not in out
