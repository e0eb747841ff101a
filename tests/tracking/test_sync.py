"""What MLflow has after `transgan sync`, read back from the database."""

import json
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.tracking import MlflowClient

from tests.tracking.runs import RUN, finished_run, history, opened, rows
from transgan.tracking import sync
from transgan.tracking.connection import connect


def test_sync_completes_the_run_that_training_started(demo):
    with opened(demo) as tracker:
        tracker.log_history(rows(1600))
    finished_run(demo, tracker.run_id, images=(1600, 3200))
    sync(demo)
    sync(demo)
    store = connect("demo")
    assert [run.info.run_id for run in store.client.search_runs([store.experiment], "tags.stage = 'train'")] == [
        tracker.run_id
    ]
    assert history(tracker.run_id, "gap") == [(1600, 800.0), (3200, 1600.0)]
    assert history(tracker.run_id, "late") == []
    assert history(tracker.run_id, "score/fid.cifar10.fid50k-train") == [(0, 4.0)]
    assert history(tracker.run_id, "score/is.cifar10.fid50k-train") == [(0, 7.5)]
    assert {"samples.png", "scores.json"} <= store.artifacts(tracker.run_id)


def test_sync_marks_a_killed_run_as_finished_if_its_results_are(demo):
    tracker = opened(demo)
    tracker.finish("KILLED", "signal 15")
    finished_run(demo, tracker.run_id)
    sync(demo)
    run = connect("demo").client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert "reason" not in run.data.tags


def test_sync_creates_a_missing_run_once(demo):
    finished_run(demo, "f" * 32)  # tracked in a database that is not here
    sync(demo)
    sync(demo)
    store = connect("demo")
    runs = store.client.search_runs([store.experiment])
    assert len(runs) == 1
    assert runs[0].info.status == "FINISHED"
    assert runs[0].data.params["recipe.images"] == str(demo.runs[RUN].recipe.images)
    assert history(runs[0].info.run_id, "gap") == [(1600, 800.0), (3200, 1600.0)]


def test_permission_denied_means_that_a_server_with_passwords_lacks_the_run(demo, monkeypatch):
    """Such a server answers so to all but its administrators, whether or not the run exists elsewhere."""

    def refuse(self, run_id):
        raise MlflowException("Permission denied", PERMISSION_DENIED)

    store = connect("demo")
    monkeypatch.setattr(MlflowClient, "get_run", refuse)
    assert not store.has("f" * 32)


def test_sync_skips_results_of_another_configuration(demo, capsys):
    finished_run(demo)
    record = demo.paths.run(RUN) / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "fingerprint": "old"}))
    sync(demo)
    assert "another configuration" in capsys.readouterr().err
    store = connect("demo")
    assert store.client.search_runs([store.experiment]) == []


def test_tables_are_logged_once_per_content(demo):
    demo.paths.table("t").parent.mkdir(parents=True)
    demo.paths.table("t").with_suffix(".csv").write_text("a\n1\n")
    sync(demo)
    (demo.paths.results / "report.html").write_text("<p>an old page</p>")
    sync(demo)
    (demo.paths.results / "report.html").write_text("<p>a page</p>")
    sync(demo)
    demo.paths.table("t").with_suffix(".csv").write_text("a\n2\n")
    sync(demo)
    store = connect("demo").other("transgan-demo-tables")
    runs = store.client.search_runs([store.experiment], "tags.stage = 'tables'")
    assert [run.info.run_name for run in runs] == ["reproduce_tables"] * 2
    assert all("TransGAN" in run.data.tags["table.unconditional"].split("; ") for run in runs)
    assert all("report.html" in store.artifacts(run.info.run_id) for run in runs)
    assert [item.path for item in store.client.list_artifacts(runs[0].info.run_id, "tables")] == ["tables/t.csv"]
    assert Path(store.client.download_artifacts(runs[1].info.run_id, "report.html")).read_text() == "<p>a page</p>"
    demo.paths.figure("f").parent.mkdir()
    demo.paths.figure("f").with_suffix(".png").write_bytes(b"another image")
    sync(demo)
    assert len(store.client.search_runs([store.experiment], "tags.stage = 'tables'")) == 3
