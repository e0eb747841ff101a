"""What MLflow has after training and after failures, read back from the database."""

import sys

import pytest
from PIL import Image

from tests.tracking.runs import DATA, RUN, finished_run, history, opened, rows
from transgan.errors import UserError
from transgan.metrics.authors_curve import Position
from transgan.tracking import record_scores, sync
from transgan.tracking import tracker as tracker_module
from transgan.tracking.connection import connect


def test_a_run_is_found_by_table_row_and_has_its_configuration_metrics_and_images(demo, tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "grid.png")
    with opened(demo) as tracker:
        tracker.log_history(rows(1600, 3200))
        tracker.log_image(tmp_path / "grid.png", "samples/start.png")
        tracker.log_image(tmp_path / "grid.png", "samples", images=1600)
    store = connect("demo")
    runs = store.client.search_runs(
        [store.experiment], "tags.`table.unconditional` = 'TransGAN' and tags.scale = 'demo'"
    )
    assert [run.info.run_name for run in runs] == [RUN]
    run = runs[0]
    assert store.client.get_experiment(store.experiment).name == "transgan-demo"
    assert run.info.status == "FINISHED"
    trained = demo.runs[RUN]
    assert run.data.params["recipe.generator.lr"] == str(trained.recipe.generator.lr)
    assert run.data.params["model.discriminator.stages.1.blocks.0.depth"] == str(
        trained.model.discriminator.stages[1].blocks[0].depth
    )
    assert run.data.tags["fingerprint"] == demo.fingerprint("train", RUN)
    assert "unconditional: TransGAN" in run.data.tags["feeds"].split("; ")
    assert run.inputs.dataset_inputs[0].dataset.digest == DATA[:32]
    assert history(run.info.run_id, "d_loss") == [(1600, -1600.0), (3200, -3200.0)]
    assert "step" not in run.data.metrics
    stored = [item.path for item in store.client.list_artifacts(run.info.run_id, "samples")]
    assert stored == ["samples/start.png"]
    assert any(
        item.path.startswith("images/samples") for item in store.client.list_artifacts(run.info.run_id, "images")
    )


def test_a_resumed_run_logs_no_step_twice(demo):
    tracker = opened(demo)
    tracker.log_history(rows(1600, 3200))
    with pytest.raises(RuntimeError), tracker:
        raise RuntimeError("the power\nfailed")
    first = connect("demo").client.get_run(tracker.run_id)
    assert first.info.status == "FAILED"
    assert first.data.tags["reason"] == "RuntimeError: the power failed"
    with opened(demo, tracker.run_id) as resumed:
        resumed.log_history(rows(3200))
        resumed.log_history(rows(3200, 4800))
    assert resumed.run_id == tracker.run_id
    assert [step for step, _ in history(tracker.run_id, "gap")] == [1600, 3200, 4800]
    again = connect("demo").client.get_run(tracker.run_id)
    assert again.info.status == "FINISHED"
    assert "reason" not in again.data.tags


def test_an_interrupted_run_is_killed(demo):
    with pytest.raises(KeyboardInterrupt), opened(demo) as tracker:
        raise KeyboardInterrupt
    assert connect("demo").client.get_run(tracker.run_id).info.status == "KILLED"


def test_an_unknown_run_id_starts_a_new_run(demo):
    with opened(demo, "0" * 32) as tracker:
        pass
    assert tracker.run_id not in (None, "0" * 32)


def test_a_database_that_cannot_be_opened_gives_one_warning_and_stops_nothing(demo, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/a-file/mlflow.db")
    (tmp_path / "a-file").write_text("")
    with opened(demo) as tracker:
        tracker.log_history(rows(*range(32, 320000, 32)))
        tracker.log_image(tmp_path / "nothing.png", "x.png")
    assert tracker.run_id is None
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "training continues" in lines[0]
    finished_run(demo, "f" * 32)
    with pytest.raises(UserError, match=r"mlflow\.db"):
        sync(demo)
    record_scores(demo, RUN)
    assert "transgan sync" in capsys.readouterr().err


def test_a_database_that_fails_for_a_while_gets_every_row(demo, monkeypatch, capsys):
    monkeypatch.setattr(tracker_module, "FLUSH_SECONDS", 0.0)
    with opened(demo) as tracker:
        store = tracker._open_store
        real = store.client.log_batch
        monkeypatch.setattr(
            store.client,
            "log_batch",
            lambda *a, **k: (_ for _ in ()).throw(OSError("attempt to write a readonly database")),
        )
        tracker.log_history(rows(32))
        tracker.log_history(rows(64))
        monkeypatch.setattr(store.client, "log_batch", real)
        tracker.log_history(rows(96))  # still in the pause
        assert history(tracker.run_id, "gap") == []
    assert [step for step, _ in history(tracker.run_id, "gap")] == [32, 64, 96]
    assert capsys.readouterr().err.count("readonly") == 1


def test_a_broken_installation_of_mlflow_stops_nothing(demo, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "transgan.tracking.store", None)  # importing it raises ImportError
    with opened(demo) as tracker:
        tracker.log_history(rows(1600))
    assert tracker.run_id is None
    assert "warning: MLflow: opening the database failed" in capsys.readouterr().err


def test_fid_along_training_and_its_place_on_the_authors_curve_are_logged_once(demo):
    position = Position(images=4_000_000, fid=33.0, authors=31.1, allowed=1.03)
    with opened(demo) as tracker:
        tracker.log_fid([(0, 400.0), (4_000_000, 33.0)], [position])
        tracker.log_fid([(0, 400.0), (4_000_000, 33.0)], [position])
        # Sent at once, so that a run can be judged while it trains.
        assert history(tracker.run_id, "fid_along_training") == [(0, 400.0), (4_000_000, 33.0)]
    assert history(tracker.run_id, "curve_difference") == [(4_000_000, pytest.approx(1.9))]
    tags = connect("demo").client.get_run(tracker.run_id).data.tags
    assert tags["authors_curve"].startswith("above the authors' curve at 4M images: FID 33.00")


def test_the_pauses_between_tries_grow_and_a_success_resets_them(demo, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(tracker_module, "monotonic", lambda: clock[0])
    with opened(demo) as tracker:
        store, tries = tracker._open_store, []

        def away(*_, **__):
            tries.append(clock[0] / 60)
            raise OSError("connection refused")

        real = store.client.log_batch
        monkeypatch.setattr(store.client, "log_batch", away)
        for minute in range(200):
            clock[0] = minute * 60.0
            tracker.log_history(rows(minute + 1))
        assert tries == [1, 6, 16, 36, 76, 136, 196]  # after 5, 10, 20, 40, 60 minutes
        monkeypatch.setattr(store.client, "log_batch", real)
        clock[0] += 3600
        tracker.log_history(rows(300))
        assert len(history(tracker.run_id, "gap")) == 201
        monkeypatch.setattr(store.client, "log_batch", away)
        clock[0] += 60
        tracker.log_history(rows(301))
        clock[0] += 300
        tracker.log_history(rows(302))
        assert len(tries) == 9
        monkeypatch.setattr(store.client, "log_batch", real)


def test_a_slow_server_gets_at_most_a_tenth_of_the_time(demo, monkeypatch):
    clock, sent = [0.0], []
    monkeypatch.setattr(tracker_module, "monotonic", lambda: clock[0])
    with opened(demo) as tracker:

        def slow(*_, **__):
            sent.append(clock[0])
            clock[0] += 7.0

        monkeypatch.setattr(tracker._open_store.client, "log_batch", slow)
        for second in range(1, 1000):
            clock[0] += 1.0
            tracker.log_history(rows(second))
        assert 0.08 < 7.0 * len(sent) / clock[0] < 0.11
        assert tracker.seconds == pytest.approx(7.0 * len(sent))


def test_the_values_of_a_new_run_are_not_read_back_before_they_are_sent(demo, monkeypatch):
    with opened(demo) as tracker:
        store = tracker._open_store
        monkeypatch.setattr(type(store), "values", lambda *_: pytest.fail("the run is new"))
        monkeypatch.setattr(tracker_module, "FLUSH_SECONDS", 0.0)
        tracker.log_history(rows(32, 64))
    assert [step for step, _ in history(tracker.run_id, "gap")] == [32, 64]


def test_a_run_ends_after_one_failure_of_a_server_that_does_not_answer(demo, monkeypatch):
    tracker = opened(demo)
    calls = []

    def away(*arguments, **_):
        calls.append(arguments)
        raise OSError("timed out")

    for name in ("log_batch", "set_tag", "set_terminated"):
        monkeypatch.setattr(tracker._open_store.client, name, away)
    waits = []
    monkeypatch.setattr(tracker._monitor, "stop", lambda wait: waits.append(wait))
    tracker.log_history(rows(32))
    tracker.finish("KILLED", "signal 15")
    assert len(calls) == 1
    assert waits == [False]
