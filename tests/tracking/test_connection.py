"""Where the database is, and opening it from several processes at once."""

import os
import subprocess
import sys

import pytest

from tests.tracking.runs import PARAMS, RUN, history, opened
from transgan.tracking.uri import tracking_uri


def test_the_database_is_in_the_projects_root_unless_the_variable_names_another(demo, tmp_path, monkeypatch):
    assert tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other/x.db")
    (tmp_path / "other").mkdir()
    with opened(demo) as tracker:
        assert tracker.run_id
    assert (tmp_path / "other" / "x.db").exists()
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_eight_processes_can_create_the_database_at_once(demo, tmp_path):
    code = (
        "from pathlib import Path; from transgan.config import plan; from transgan.tracking import Tracker\n"
        f"p = plan.load(Path({str(PARAMS)!r}), 'demo'); r = p.runs[{RUN!r}]\n"
        "with Tracker.open(p, r, p.fingerprint('train', r.name), 'd' * 64, None) as t:\n"
        "    t.log_history([{'images': i, 'gap': float(i)} for i in range(100)])\n"
        "print(t.run_id)"
    )
    environment = {**os.environ, "PYTHONPATH": str(PARAMS.parent)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    ended = [process.communicate(timeout=300) for process in started]
    assert [err for _, err in ended] == [""] * 8
    ids = {out.strip() for out, _ in ended}
    assert len(ids) == 8
    for run_id in ids:
        assert len(history(run_id, "gap")) == 100
