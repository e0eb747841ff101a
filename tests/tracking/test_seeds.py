"""Runs below a parent with mean and spread over training seeds, read back from the database."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from mlflow.tracking import MlflowClient

from tests.tracking.runs import PARAMS, RUN, finished_run, opened, rows
from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.tracking import record_short_runs, sync
from transgan.tracking.connection import connect
from transgan.tracking.seeds import PARENT, group_seeds, seed_groups
from transgan.tracking.store import Store

SECOND = f"{RUN}-s1"
FID, STD = "score/fid.cifar10.fid50k-train", "score_std/fid.cifar10.fid50k-train"
NOTE = "mlflow.note.content"


@pytest.fixture
def two_seeds(demo: Plan) -> Plan:
    """The demo with two scored seeds of RUN, of FID 4 and 7."""
    finished_run(demo)
    finished_run(demo, run=SECOND)
    rescore(demo, SECOND, 6.0, 8.0)
    return demo


def rescore(plan: Plan, run: str, *fids: float) -> None:
    path = plan.paths.score(run)
    scores = json.loads(path.read_text())
    scores["protocols"]["fid50k-train"]["fid"]["values"] = fids
    path.write_text(json.dumps(scores))


def parents(store: Store) -> list[Any]:
    return store.with_stage("seeds")


def placed(store: Store) -> dict[str, list[str | None]]:
    """Run name -> ids of the parents of the runs with that name."""
    found: dict[str, list[str | None]] = {}
    for run in store.with_stage("train"):
        found.setdefault(run.info.run_name, []).append(run.data.tags.get(PARENT))
    return found


def everything(store: Store) -> dict[str, Any]:
    """All runs with all that the database has of them, but for artifacts."""
    runs = store.client.search_runs([store.experiment])
    return {
        run.info.run_id: (
            run.info.to_proto().SerializeToString(deterministic=True),
            run.data.tags,
            run.data.params,
            {key: store.client.get_metric_history(run.info.run_id, key) for key in run.data.metrics},
        )
        for run in runs
    }


def test_two_scored_seeds_are_below_a_parent_with_mean_and_spread(two_seeds: Plan) -> None:
    sync(two_seeds)
    store = connect("demo")
    (parent,) = parents(store)
    assert placed(store) == {RUN: [parent.info.run_id], SECOND: [parent.info.run_id]}
    assert parent.data.metrics[FID] == statistics.fmean([4, 7])
    assert parent.data.metrics[STD] == statistics.stdev([4, 7])
    assert parent.data.metrics["score_std/is.cifar10.fid50k-train"] == 0.0
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name == f"{RUN} (mean of seeds)"
    assert parent.data.params["recipe.generator.lr"] == str(two_seeds.runs[RUN].recipe.generator.lr)
    assert "seed" not in parent.data.params
    assert parent.data.tags["runs"] == f"{RUN}; {SECOND}"
    assert "unconditional: TransGAN" in parent.data.tags["feeds"].split("; ")
    assert "| `fid.cifar10.fid50k-train` | 5.5 | 2.1 | 2 |" in parent.data.tags[NOTE]
    # A group of a tag, such as the rows of a table, is of training runs alone.
    assert not [tag for tag in parent.data.tags if tag.startswith("table.") or tag == "seed_group"]


def test_the_stage_that_writes_cells_makes_parents(two_seeds: Plan) -> None:
    record_short_runs(two_seeds)
    (parent,) = parents(connect("demo"))
    assert parent.data.metrics[FID] == 5.5


def test_a_second_sync_changes_nothing(two_seeds: Plan) -> None:
    sync(two_seeds)
    store = connect("demo")
    before = everything(store)
    sync(two_seeds)
    record_short_runs(two_seeds)
    assert everything(store) == before


def test_one_seed_has_no_parent_and_a_new_score_reaches_the_parent(demo: Plan) -> None:
    finished_run(demo)
    finished_run(demo, run=SECOND)
    scores = demo.paths.score(SECOND)
    kept = scores.read_text()
    scores.unlink()
    sync(demo)
    store = connect("demo")
    assert parents(store) == []
    scores.write_text(kept)
    sync(demo)
    (parent,) = parents(store)
    assert parent.data.metrics[STD] == 0.0
    rescore(demo, SECOND, 10.0)
    sync(demo)
    (again,) = parents(store)
    assert again.info.run_id == parent.info.run_id
    assert again.data.metrics[FID] == 7.0
    assert "| 7 | 4.2 | 2 |" in again.data.tags[NOTE]


def test_a_description_that_a_user_has_written_stays(two_seeds: Plan) -> None:
    sync(two_seeds)
    store = connect("demo")
    (parent,) = parents(store)
    store.client.set_tag(parent.info.run_id, NOTE, "The good ones.")
    rescore(two_seeds, SECOND, 10.0)
    sync(two_seeds)
    (again,) = parents(store)
    assert (again.data.metrics[FID], again.data.tags[NOTE]) == (7.0, "The good ones.")


def test_a_seed_that_was_logged_twice_counts_once(two_seeds: Plan) -> None:
    """As where two projects train the same runs and log to one server."""
    with opened(two_seeds) as tracker:
        tracker.log_history(rows(1600))
    sync(two_seeds)
    store = connect("demo")
    assert tracker.run_id is not None
    with opened(two_seeds) as double:
        double.log_history(rows(1600))
    assert double.run_id is not None
    store.client.log_metric(double.run_id, FID, 6.0, step=0)
    group_seeds(store, two_seeds)
    (parent,) = parents(store)
    assert placed(store) == {RUN: [parent.info.run_id] * 2, SECOND: [parent.info.run_id]}
    assert parent.data.metrics[FID] == statistics.fmean([5, 7])
    assert parent.data.metrics[STD] == statistics.stdev([5, 7])


def test_of_two_parents_that_were_made_at_the_same_time_one_stays(two_seeds: Plan) -> None:
    sync(two_seeds)
    store = connect("demo")
    (parent,) = parents(store)
    own = {key: value for key, value in parent.data.tags.items() if not key.startswith("mlflow.")}
    other = store.create("another", own, parent.info.start_time)
    sync(two_seeds)
    (left,) = parents(store)
    assert left.info.run_id == min(parent.info.run_id, other)
    assert placed(store) == {RUN: [left.info.run_id], SECOND: [left.info.run_id]}
    assert left.data.metrics == parent.data.metrics
    assert left.data.params == parent.data.params
    before = everything(store)
    sync(two_seeds)
    assert everything(store) == before


def test_a_parent_whose_runs_were_deleted_goes_and_a_deleted_parent_comes_back(two_seeds: Plan) -> None:
    sync(two_seeds)
    store = connect("demo")
    (parent,) = parents(store)
    store.client.delete_run(parent.info.run_id)
    sync(two_seeds)
    (again,) = parents(store)
    assert again.info.run_id != parent.info.run_id
    assert placed(store) == {RUN: [again.info.run_id], SECOND: [again.info.run_id]}
    second = store.find({"run": SECOND})
    assert second is not None
    store.client.delete_run(second)
    group_seeds(store, two_seeds)
    assert parents(store) == []
    assert placed(store) == {RUN: [None]}
    sync(two_seeds)  # the results are there: the run is logged again
    assert len(parents(store)) == 1


def test_runs_of_an_earlier_configuration_keep_their_parent(two_seeds: Plan, tmp_path: Path) -> None:
    sync(two_seeds)
    store = connect("demo")
    (old,) = parents(store)
    line = "recipe: cifar10, protocol: fid50k-train"
    text = PARAMS.read_text()
    (tmp_path / "params.yaml").write_text(text.replace(line, f"{line}, changes: {{recipe: {{augment: []}}}}", 1))
    changed = plans.load(scale="demo")
    assert changed.fingerprint("train", SECOND) != two_seeds.fingerprint("train", SECOND)
    for run in (RUN, SECOND):
        finished_run(changed, run=run)
    sync(changed)
    (new,) = [run for run in parents(store) if run.info.run_id != old.info.run_id]
    assert placed(store) == {run: [old.info.run_id, new.info.run_id] for run in (RUN, SECOND)}
    assert store.client.get_run(old.info.run_id).data.metrics == old.data.metrics


def test_a_server_that_forbids_deleting_keeps_a_parent_without_runs(
    two_seeds: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: MlflowClient, run_id: str) -> None:
        raise MlflowException("Permission denied", PERMISSION_DENIED)

    sync(two_seeds)
    store = connect("demo")
    (parent,) = parents(store)
    store.create("of a row that has changed", {"stage": "seeds", "seeds_of": "no-such-run"})
    monkeypatch.setattr(MlflowClient, "delete_run", refuse)
    sync(two_seeds)
    assert len(parents(store)) == 2
    assert placed(store) == {RUN: [parent.info.run_id], SECOND: [parent.info.run_id]}


def test_an_interrupted_grouping_is_completed(two_seeds: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    sync(two_seeds)
    store = connect("demo")
    for run in parents(store):
        store.delete(run.info.run_id)
    real = Store.log_metrics
    failures = [OSError("connection reset")]

    def once(self: Store, *arguments: Any) -> None:
        if failures:
            raise failures.pop()
        real(self, *arguments)

    monkeypatch.setattr(Store, "log_metrics", once)
    with pytest.raises(OSError, match="reset"):
        group_seeds(store, two_seeds)
    group_seeds(store, two_seeds)
    (parent,) = parents(store)
    assert (parent.data.metrics[FID], parent.info.status) == (5.5, "FINISHED")
    assert placed(store) == {RUN: [parent.info.run_id], SECOND: [parent.info.run_id]}


def test_a_group_has_one_configuration_but_for_the_seed() -> None:
    plan = plans.load(PARAMS, "demo")
    groups = seed_groups(plan)
    assert groups[RUN] == [RUN, SECOND]
    for names in groups.values():
        runs = [plan.runs[name].plain() for name in names]
        assert len({run["seed"] for run in runs}) == len(runs)
        assert len({json.dumps([run["model"], run["recipe"], run["dataset"]]) for run in runs}) == 1
    cells = {runs for t in plan.params.tables.values() for row in t.rows for runs in row.runs.values() if len(runs) > 1}
    assert {tuple(names) for names in groups.values()} == cells
