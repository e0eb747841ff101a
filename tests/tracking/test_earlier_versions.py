"""`transgan sync` on a database that an earlier version has written."""

from pathlib import Path

import mlflow.data
import yaml
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import Dataset, DatasetInput, InputTag

from tests.tracking.runs import DATA, RUN, finished_run
from transgan.config.plan import Plan
from transgan.tracking import sync
from transgan.tracking.connection import connect
from transgan.tracking.store import Store

NOTE = "mlflow.note.content"


def earlier(demo: Plan, note: str) -> tuple[Store, str]:
    """A finished run, and its MLflow run as an earlier version created it."""
    store = connect("demo")
    tags = {"stage": "train", "run": RUN, "fingerprint": demo.fingerprint("train", RUN), "data": DATA, NOTE: note}
    run_id = store.create(RUN, tags)
    dataset = MetaDataset(CodeDatasetSource({"source": "digits"}), name="cifar10", digest=DATA[:16])
    tag = InputTag("mlflow.data.context", "training")
    store.client.log_inputs(run_id, datasets=[DatasetInput(Dataset(**dataset.to_dict()), [tag])])
    store.end(run_id, "FINISHED")
    finished_run(demo, run_id)
    return store, run_id


def test_an_earlier_run_gets_once_what_a_new_one_has(demo: Plan, tmp_path: Path) -> None:
    store, run_id = earlier(demo, "cifar10 on cifar10 at 8 pixels, 9,600 real images shown.")
    sync(demo)
    sync(demo)
    run = store.client.get_run(run_id)
    assert len(store.client.search_runs([store.experiment])) == 1
    assert run.data.tags["seed_group"] == RUN
    assert run.data.tags[NOTE].startswith("Model `cifar10`, trained on `cifar10` (digits in its place), 8 x 8 pixels")
    written = yaml.safe_load(Path(store.client.download_artifacts(run_id, "config.yaml")).read_text())
    assert written["recipe"]["images"] == demo.runs[RUN].recipe.images
    _, new = sorted(run.inputs.dataset_inputs, key=lambda each: len(each.dataset.digest))
    source = mlflow.data.get_source(new.dataset)
    demo.paths.data("cifar10").mkdir(parents=True)
    assert Path(source.load()) == tmp_path / demo.paths.data("cifar10")


def test_a_description_that_a_user_has_written_stays(demo: Plan) -> None:
    store, run_id = earlier(demo, "The one with the odd sevens.")
    sync(demo)
    assert store.client.get_run(run_id).data.tags[NOTE] == "The one with the odd sevens."


def test_tables_move_once_to_their_own_experiment(demo: Plan, tmp_path: Path) -> None:
    store = connect("demo")
    (tmp_path / "old.csv").write_text("a\n0\n")
    old = store.create("reproduce_tables", {"stage": "tables", "digest": "of old tables", "commit": "c"}, 1000)
    store.client.log_artifact(old, str(tmp_path / "old.csv"), "tables")
    store.end(old, "FINISHED", 2000)
    demo.paths.table("t").parent.mkdir(parents=True)
    demo.paths.table("t").with_suffix(".csv").write_text("a\n1\n")
    sync(demo)
    sync(demo)
    assert store.client.search_runs([store.experiment]) == []
    tables = store.other("transgan-demo-tables")
    runs = tables.client.search_runs([tables.experiment], order_by=["attributes.start_time ASC"])
    assert [run.data.tags.get("moved_from") for run in runs] == [old, None]
    moved = runs[0]
    assert (moved.info.start_time, moved.info.end_time) == (1000, 2000)
    assert (moved.data.tags["digest"], moved.data.tags["commit"]) == ("of old tables", "c")
    assert Path(tables.client.download_artifacts(moved.info.run_id, "tables/old.csv")).read_text() == "a\n0\n"


def test_seeds_of_one_cell_share_their_group(demo: Plan) -> None:
    finished_run(demo, run="transgan-cifar10-s1")
    sync(demo)
    store = connect("demo")
    (run,) = store.client.search_runs([store.experiment])
    assert run.data.tags["seed_group"] == "transgan-cifar10"
