"""What MLflow holds after training, after trouble and after sync; read back from the database, never from the tracker's own memory."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from transgan.config import plan
from transgan.errors import UserError
from transgan.tracking import Tracker, record_scores, sync
from transgan.tracking import tracker as tracker_module
from transgan.tracking.store import connect, tracking_uri
from transgan.utils import files

PARAMS = Path(__file__).parents[1] / "params.yaml"
RUN = "transgan-cifar10"
DATA = "d" * 64


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """The demo's plan, in an empty project folder of its own."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    return plan.load(PARAMS, "demo")


def rows(*images):
    return [{"images": n, "step": n // 32, "d_loss": -float(n), "gap": n / 2} for n in images]


def opened(demo, run_id=None):
    return Tracker.open(demo, demo.runs[RUN], demo.fingerprint("train", RUN), DATA, run_id)


def history(run_id, key):
    return [(m.step, m.value) for m in connect("demo").client.get_metric_history(run_id, key)]


def finished_run(demo, mlflow_run_id=None, images=(1600, 3200)):
    """What the train and score stages leave behind."""
    folder = demo.paths.run(RUN)
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = demo.fingerprint("train", RUN)
    files.write_json(folder / "run.json", {"run": RUN, "fingerprint": fingerprint, "data": DATA, "images": images[-1]})
    header = ["images", "step", "d_loss", "gap", "late"]
    files.write_csv(
        folder / "history.csv", header, [[r["images"], r["step"], r["d_loss"], r["gap"], ""] for r in rows(*images)]
    )
    now = datetime.now(UTC).isoformat()
    files.write_json(folder / "provenance.json", {"mlflow_run_id": mlflow_run_id, "started": now, "finished": now})
    Image.new("RGB", (16, 16), "teal").save(folder / "samples.png")
    protocols = {"fid50k-train": {"fid": {"values": [3.0, 5.0]}, "is": {"values": [7.0, 8.0], "split_std": [0.1, 0.2]}}}
    files.write_json(
        demo.paths.score(RUN),
        {
            "run": RUN,
            "fingerprint": "s",
            "train_fingerprint": fingerprint,
            "images": images[-1],
            "data": DATA,
            "protocols": protocols,
        },
    )


def test_the_database_is_the_projects_unless_the_variable_says_otherwise(demo, tmp_path, monkeypatch):
    assert tracking_uri() == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other/x.db")
    (tmp_path / "other").mkdir()
    with opened(demo) as tracker:
        assert tracker.run_id
    assert (tmp_path / "other" / "x.db").exists()
    assert not (tmp_path / "mlflow.db").exists()


def test_a_training_run_is_found_by_table_row_and_holds_what_was_trained(demo, tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "grid.png")
    with opened(demo) as tracker:
        tracker.log(rows(1600, 3200))
        tracker.picture(tmp_path / "grid.png", "samples/start.png")
        tracker.picture(tmp_path / "grid.png", "samples", images=1600)
    store = connect("demo")
    found = store.client.search_runs(
        [store.experiment], "tags.`table.unconditional` = 'TransGAN' and tags.scale = 'demo'"
    )
    assert [run.info.run_name for run in found] == [RUN]
    run = found[0]
    assert store.client.get_experiment(store.experiment).name == "transgan-demo"
    assert run.info.status == "FINISHED"
    trained = demo.runs[RUN]
    assert run.data.params["recipe.generator.lr"] == str(trained.recipe.generator.lr)
    assert run.data.params["model.discriminator.stages.1.blocks.0.depth"] == str(
        trained.model.discriminator.stages[1].blocks[0].depth
    )
    assert run.data.tags["fingerprint"] == demo.fingerprint("train", RUN)
    assert "unconditional: TransGAN" in run.data.tags["feeds"].split("; ")
    assert run.inputs.dataset_inputs[0].dataset.digest == DATA[:16]
    assert history(run.info.run_id, "d_loss") == [(1600, -1600.0), (3200, -3200.0)]
    assert "step" not in run.data.metrics
    stored = [item.path for item in store.client.list_artifacts(run.info.run_id, "samples")]
    assert stored == ["samples/start.png"]
    assert any(
        item.path.startswith("images/samples") for item in store.client.list_artifacts(run.info.run_id, "images")
    )


def test_a_resumed_run_stores_no_step_twice(demo):
    tracker = opened(demo)
    tracker.log(rows(1600, 3200))
    with pytest.raises(RuntimeError), tracker:
        raise RuntimeError("the power\nfailed")
    first = connect("demo").client.get_run(tracker.run_id)
    assert first.info.status == "FAILED"
    assert first.data.tags["reason"] == "RuntimeError: the power failed"
    with opened(demo, tracker.run_id) as resumed:
        resumed.log(rows(3200))
        resumed.log(rows(3200, 4800))
    assert resumed.run_id == tracker.run_id
    assert [step for step, _ in history(tracker.run_id, "gap")] == [1600, 3200, 4800]
    again = connect("demo").client.get_run(tracker.run_id)
    assert again.info.status == "FINISHED"
    assert "reason" not in again.data.tags


def test_an_interruption_is_a_killed_run(demo):
    with pytest.raises(KeyboardInterrupt), opened(demo) as tracker:
        raise KeyboardInterrupt
    assert connect("demo").client.get_run(tracker.run_id).info.status == "KILLED"


def test_a_run_id_that_the_database_does_not_have_begins_a_new_run(demo):
    with opened(demo, "0" * 32) as tracker:
        pass
    assert tracker.run_id not in (None, "0" * 32)


def test_a_database_that_cannot_be_opened_is_said_once_and_stops_nothing(demo, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/a-file/mlflow.db")
    (tmp_path / "a-file").write_text("")
    with opened(demo) as tracker:
        tracker.log(rows(*range(32, 320000, 32)))
        tracker.picture(tmp_path / "nothing.png", "x.png")
    assert tracker.run_id is None
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "training goes on" in said[0]
    finished_run(demo)
    with pytest.raises(UserError, match=r"mlflow\.db"):
        sync(demo)
    record_scores(demo, RUN)
    assert "transgan sync" in capsys.readouterr().err


def test_a_database_that_goes_away_and_comes_back_gets_every_row(demo, monkeypatch, capsys):
    monkeypatch.setattr(tracker_module, "FLUSH_SECONDS", 0.0)
    with opened(demo) as tracker:
        store = tracker._open_store
        real = store.client.log_batch
        monkeypatch.setattr(
            store.client,
            "log_batch",
            lambda *a, **k: (_ for _ in ()).throw(OSError("attempt to write a readonly database")),
        )
        tracker.log(rows(32))
        tracker.log(rows(64))
        monkeypatch.setattr(store.client, "log_batch", real)
        tracker.log(rows(96))  # still in the pause
        assert history(tracker.run_id, "gap") == []
    assert [step for step, _ in history(tracker.run_id, "gap")] == [32, 64, 96]
    assert capsys.readouterr().err.count("readonly") == 1


def test_sync_completes_the_run_that_training_began(demo):
    with opened(demo) as tracker:
        tracker.log(rows(1600))
    finished_run(demo, tracker.run_id, images=(1600, 3200))
    sync(demo)
    sync(demo)
    store = connect("demo")
    assert [run.info.run_id for run in store.client.search_runs([store.experiment], "tags.stage = 'train'")] == [
        tracker.run_id
    ]
    assert history(tracker.run_id, "gap") == [(1600, 800.0), (3200, 1600.0)]
    assert history(tracker.run_id, "late") == []
    assert history(tracker.run_id, "fid/cifar10/fid50k-train") == [(3200, 4.0)]
    assert history(tracker.run_id, "is/cifar10/fid50k-train") == [(3200, 7.5)]
    assert {"samples.png", "scores.json"} <= store.artifacts(tracker.run_id)


def test_sync_says_finished_of_a_run_that_was_interrupted_and_ended_out_of_sight(demo):
    tracker = opened(demo)
    tracker.finish("KILLED", "signal 15")
    finished_run(demo, tracker.run_id)
    sync(demo)
    run = connect("demo").client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert "reason" not in run.data.tags


def test_sync_makes_the_run_that_was_never_tracked_once(demo):
    finished_run(demo, "f" * 32)  # tracked in a database that is not here
    sync(demo)
    sync(demo)
    store = connect("demo")
    found = store.client.search_runs([store.experiment])
    assert len(found) == 1
    assert found[0].info.status == "FINISHED"
    assert found[0].data.params["recipe.images"] == str(demo.runs[RUN].recipe.images)
    assert history(found[0].info.run_id, "gap") == [(1600, 800.0), (3200, 1600.0)]


def test_sync_leaves_results_of_another_configuration_alone(demo, capsys):
    finished_run(demo)
    record = demo.paths.run(RUN) / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "fingerprint": "old"}))
    sync(demo)
    assert "another configuration" in capsys.readouterr().err
    store = connect("demo")
    assert store.client.search_runs([store.experiment]) == []


def test_tables_are_kept_once_per_content(demo):
    demo.paths.table("t").parent.mkdir(parents=True)
    demo.paths.table("t").with_suffix(".csv").write_text("a\n1\n")
    sync(demo)
    (demo.paths.results / "report.html").write_text("<p>an old page</p>")
    sync(demo)
    (demo.paths.results / "report.html").write_text("<p>a page</p>")
    sync(demo)
    demo.paths.table("t").with_suffix(".csv").write_text("a\n2\n")
    sync(demo)
    store = connect("demo")
    found = store.client.search_runs([store.experiment], "tags.stage = 'tables'")
    assert [run.info.run_name for run in found] == ["reproduce_tables"] * 2
    assert all("TransGAN" in run.data.tags["table.unconditional"].split("; ") for run in found)
    assert all("report.html" in store.artifacts(run.info.run_id) for run in found)
    assert [item.path for item in store.client.list_artifacts(found[0].info.run_id, "tables")] == ["tables/t.csv"]
    assert Path(store.client.download_artifacts(found[1].info.run_id, "report.html")).read_text() == "<p>a page</p>"
    demo.paths.figure("f").parent.mkdir()
    demo.paths.figure("f").with_suffix(".png").write_bytes(b"drawn anew")
    sync(demo)
    assert len(store.client.search_runs([store.experiment], "tags.stage = 'tables'")) == 3


@pytest.mark.slow
def test_eight_processes_may_make_the_database_at_once(demo, tmp_path):
    code = (
        "import sys; from pathlib import Path; from transgan.config import plan; from transgan.tracking import Tracker\n"
        f"p = plan.load(Path({str(PARAMS)!r}), 'demo'); r = p.runs[{RUN!r}]\n"
        "with Tracker.open(p, r, p.fingerprint('train', r.name), 'd' * 64, None) as t:\n"
        "    t.log([{'images': i, 'gap': float(i)} for i in range(100)])\n"
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
