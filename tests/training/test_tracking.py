"""When a run is logged to MLflow: during training if that takes long or fails, otherwise by a later stage."""

import pytest

from tests.training.conftest import RUN
from transgan.config import plan as plans
from transgan.errors import Diverged
from transgan.tracking import record_scores, record_short_runs, tracker
from transgan.tracking.connection import connect
from transgan.tracking.tracker import milliseconds
from transgan.training import loop
from transgan.training.train import train
from transgan.utils import files


@pytest.fixture(autouse=True)
def quiet(monkeypatch, project):
    """Replaces the fixture that switches MLflow off."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(loop, "LIVE_SECONDS", float("inf"))


def recorded():
    store = connect("tiny")
    return store, store.client.search_runs([store.experiment])


def provenance():
    return files.read_json(plans.load().paths.run(RUN) / "provenance.json")


def test_a_short_run_leaves_mlflow_alone_and_is_logged_with_its_scores(project):
    plan = plans.load()
    train(plan, RUN)
    assert provenance()["mlflow_run_id"] is None
    record_scores(plan, RUN)
    record_short_runs(plan)  # not scored yet
    assert not (project / "mlflow.db").exists()
    trained = files.read_json(plan.paths.run(RUN) / "run.json")
    protocols = {"fid50k-train": {"fid": {"values": [3.0, 5.0]}}}
    content = {key: trained[key] for key in ("run", "images", "data")}
    files.write_json(
        plan.paths.score(RUN),
        {**content, "fingerprint": "s", "train_fingerprint": trained["fingerprint"], "protocols": protocols},
    )
    record_short_runs(plan)
    record_short_runs(plan)
    store, runs = recorded()
    assert [(run.info.run_name, run.info.status) for run in runs] == [(RUN, "FINISHED")]
    assert runs[0].data.metrics["score/fid.cifar10.fid50k-train"] == 4.0
    assert [point.step for point in store.client.get_metric_history(runs[0].info.run_id, "d_loss")] == [32, 64, 96, 128]


def test_a_long_run_is_logged_while_it_trains_with_what_came_before(project, monkeypatch):
    monkeypatch.setattr(loop, "LIVE_SECONDS", -1.0)
    train(plans.load(), RUN)
    store, (run,) = recorded()
    assert provenance()["mlflow_run_id"] == run.info.run_id
    assert run.info.start_time == milliseconds(provenance()["started"])
    assert run.info.status == "FINISHED"
    assert [point.step for point in store.client.get_metric_history(run.info.run_id, "d_loss")] == [32, 64, 96, 128]
    images = [item.path for item in store.client.list_artifacts(run.info.run_id, "images")]
    assert any("step%0%" in path or "step+0+" in path for path in images), images


def test_a_short_run_that_fails_is_logged_with_the_reason(project, monkeypatch):
    def diverge(self, means):
        raise Diverged("the critic gap is huge")

    monkeypatch.setattr(loop.TrainingLoop, "_check_divergence", diverge)
    with pytest.raises(Diverged):
        train(plans.load(), RUN)
    _, (run,) = recorded()
    assert run.info.status == "FAILED"
    assert "critic gap" in run.data.tags["reason"]


def test_a_run_whose_database_was_away_at_first_is_logged_as_soon_as_it_is_back(project, monkeypatch, capsys):
    monkeypatch.setattr(loop, "LIVE_SECONDS", -1.0)
    monkeypatch.setattr(tracker, "PAUSE_SECONDS", 0.0)
    tries = []

    def away_twice(scale):
        tries.append(scale)
        if len(tries) < 3:
            raise OSError("connection refused")
        return connect(scale)

    monkeypatch.setattr(tracker, "connect", away_twice)
    train(plans.load(), RUN)
    store, (run,) = recorded()
    assert len(tries) == 3
    assert provenance()["mlflow_run_id"] == run.info.run_id
    assert [point.step for point in store.client.get_metric_history(run.info.run_id, "d_loss")] == [32, 64, 96, 128]
    assert capsys.readouterr().err.count("connection refused") == 1
