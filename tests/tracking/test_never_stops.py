"""MLflow away, slow, locked or damaged: training waits a bounded time, says one line and goes on."""

import fcntl
import os
import socket
import time
from pathlib import Path

import pytest

from tests.tracking.runs import RUN, finished_run, opened, rows
from transgan.config.plan import Plan
from transgan.errors import UserError
from transgan.tracking import connection, record_scores, sync
from transgan.tracking.advice import advice, explained
from transgan.tracking.connection import connect
from transgan.tracking.uri import tracking_uri

pytestmark = pytest.mark.faults


def test_a_lock_that_another_process_holds_is_waited_for_a_bounded_time(
    demo: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection, "LOCK_SECONDS", 0.3)
    with (tmp_path / "mlflow.db.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with opened(demo) as tracker:
            assert tracker.run_id is None
        waiting, failed = capsys.readouterr().err.splitlines()
        with pytest.raises(UserError, match=r"fuser -v .*mlflow\.db\.lock"):
            sync(demo)
    assert "waiting for it for up to 0 s" in waiting
    assert "has held" in failed
    assert "training continues" in failed
    with opened(demo) as tracker:
        assert tracker.run_id


def connections(server: socket.socket) -> int:
    """How many connections wait for a server that has accepted none."""
    server.setblocking(False)
    count = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


@pytest.mark.slow
def test_a_server_that_never_answers_delays_training_by_seconds(
    demo: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert int(connection.LIMITS["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 10
    assert int(connection.LIMITS["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) <= 1
    for name in connection.LIMITS:
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        begun = time.monotonic()
        with opened(demo) as tracker:
            assert tracker.run_id is None
            tracker.log_history(rows(32))
        assert time.monotonic() - begun < 60  # 78 s before there were limits
        assert connections(server) == 2  # of 8 s each, as docs/mlflow.md states
    assert "start the server of" in capsys.readouterr().err


def test_the_users_own_limits_stay(demo: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    connect("demo")
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"SQLite format 3\0 and then something else" * 100])
def test_a_damaged_database_is_given_up_at_once_with_what_to_type(
    demo: Plan, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlflow.db").write_bytes(content)
    with opened(demo) as tracker:
        pass
    if content:
        assert tracker.run_id is None
        (line,) = capsys.readouterr().err.splitlines()
        assert f"mv '{tmp_path}/mlflow.db' '{tmp_path}/mlflow.db.damaged'" in line


def test_a_deleted_experiment_names_the_command_that_restores_it(
    demo: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = connect("demo")
    store.client.delete_experiment(store.experiment)
    finished_run(demo)
    command = f"mlflow experiments restore --experiment-id {store.experiment}"
    with pytest.raises(UserError, match=command) as caught:
        sync(demo)
    assert f"MLFLOW_TRACKING_URI=sqlite:///{tmp_path}/mlflow.db" in str(caught.value)
    with opened(demo) as tracker:
        assert tracker.run_id is None
    assert command in capsys.readouterr().err
    store.client.restore_experiment(store.experiment)
    sync(demo)


@pytest.mark.parametrize("content", ["[]", "null", "3", '"x"', "{}", "{", "\0", '{"mlflow_run_id": [1]}', None])
def test_a_damaged_provenance_does_not_stop_the_stage_score(demo: Plan, content: str | None) -> None:
    finished_run(demo)
    path = demo.paths.run(RUN) / "provenance.json"
    path.unlink()
    path.mkdir() if content is None else path.write_text(content)
    record_scores(demo, RUN)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("Detected out-of-date database schema (found version 1, but expected 2)", "mlflow db upgrade"),
        ("No module named 'mlflow'", "pip install 'transgan[tracking]'"),
        ("No module named 'psycopg2'", "pip install psycopg2-binary"),
        ("No module named 'pymysql'", "pip install pymysql"),
        ("(sqlite3.OperationalError) database is locked", "fuser -v"),
        ("attempt to write a readonly database", "chmod u+rw"),
        ("API request failed with error code 401", "MLFLOW_TRACKING_TOKEN"),
        ("API request to endpoint failed with error code 403 != 200. Response body: 'Permission denied'", "EDIT"),
        ("[Errno 111] Connection refused", "unset MLFLOW_TRACKING_URI"),
        ("something new", "mlflow experiments search"),
    ],
)
def test_each_failure_ends_with_what_to_type(demo: Plan, text: str, command: str) -> None:
    assert command in advice(RuntimeError(text))
    assert explained(RuntimeError(text)).startswith(f"RuntimeError: {text[:20]}")


def test_an_experiment_in_dvcs_copy_logs_to_the_projects_database(
    demo: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpx1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    with opened(demo) as tracker:
        pass
    monkeypatch.chdir(tmp_path)
    assert connect("demo").has(tracker.run_id)
