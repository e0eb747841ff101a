"""Logs to MLflow what it lacks: after the database was unreachable, and what later stages compute (scores, tables)."""

import csv
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transgan.config.fingerprint import digest
from transgan.config.plan import Plan, Run
from transgan.errors import UserError
from transgan.metrics.score_file import read_scores
from transgan.pipeline import provenance
from transgan.tracking.connection import connect
from transgan.tracking.tracker import Tracker, create, milliseconds, one_line
from transgan.tracking.uri import tracking_uri
from transgan.utils import files

if TYPE_CHECKING:
    from transgan.tracking.store import Store

logger = logging.getLogger(__name__)

TABLES_RUN = "reproduce_tables"


def sync(plan: Plan) -> None:
    """Log what the database lacks: curves, images and scores of the scale's finished runs, and its tables.

    A second call changes nothing. Raises UserError if the database cannot be used.
    """
    try:
        store = connect(plan.scale_name)
        for run in plan.runs.values():
            _sync_run(store, plan, run)
        _sync_tables(store, plan)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"MLflow at {tracking_uri()} cannot be used ({one_line(error)}); fix it, then run `transgan sync` again"
        ) from error


def record_scores(plan: Plan, run_name: str) -> None:
    """Log a run's scores to its MLflow run. A failure of MLflow gives a warning."""
    _attempt(f"the scores of {run_name}", lambda store: _sync_run(store, plan, plan.run(run_name)), plan)


def record_tables(plan: Plan) -> None:
    """Log the scale's tables, figures and report to a run `reproduce_tables`. A failure of MLflow gives a warning."""
    _attempt("the tables", lambda store: _sync_tables(store, plan), plan)


def _attempt(what: str, work: "Callable[[Store], None]", plan: Plan) -> None:
    try:
        work(connect(plan.scale_name))
    except Exception as error:
        logger.warning(f"MLflow: {what} could not be logged ({one_line(error)}); `transgan sync` logs them later")


def _sync_run(store: "Store", plan: Plan, run: Run) -> None:
    folder = plan.paths.run(run.name)
    if not (folder / "run.json").exists():
        return
    record = files.read_json(folder / "run.json")
    if record["fingerprint"] != plan.fingerprint("train", run.name):
        logger.warning(f"{run.name}: its results belong to another configuration; train it again, then sync")
        return
    origin = files.read_json(folder / "provenance.json") if (folder / "provenance.json").exists() else {}
    run_id = _find_run(store, record, origin) or create(store, plan, run, record["fingerprint"], record["data"], origin)
    tracker = Tracker(store, run_id, strict=True)
    tracker.log_history(_read_history(folder / "history.csv"))
    if (folder / "samples.png").exists() and "samples.png" not in store.artifacts(run_id):
        tracker.log_image(folder / "samples.png", "samples.png")
    scores = read_scores(plan, run.name)
    if scores is not None and scores["train_fingerprint"] == record["fingerprint"]:
        tracker.log_scores(scores, run.dataset_name)
    tracker.mark_finished(milliseconds(origin.get("finished")))


def _find_run(store: "Store", record: dict[str, Any], origin: dict[str, Any]) -> str | None:
    """The MLflow run that training logged to, or the one that an earlier sync created for the same results."""
    run_id: str | None = origin.get("mlflow_run_id")
    if run_id and store.has(run_id):
        return run_id
    return store.find(
        {"stage": "train", "run": record["run"], "fingerprint": record["fingerprint"], "data": record["data"]}
    )


def _read_history(path: Path) -> list[dict[str, float]]:
    """The rows of history.csv without empty cells."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def _sync_tables(store: "Store", plan: Plan) -> None:
    """Log the tables to one MLflow run per content: unchanged tables are not stored twice."""
    results = plan.paths.results
    artifacts = {
        folder: sorted(path for path in (results / folder).glob("*") if path.is_file())
        for folder in ("tables", "figures")
    }
    if not artifacts["tables"]:
        return
    content = digest({path.name: files.sha256(path) for path in (*artifacts["tables"], *artifacts["figures"])})
    run_id = store.find({"stage": "tables", "digest": content})
    if run_id is None:
        source = provenance.source()
        tags = {
            "stage": "tables",
            "scale": plan.scale_name,
            "digest": content,
            "commit": str(source["commit"]),
            "dirty": str(source["dirty"]).lower(),
        }
        rows = {name: "; ".join(row.name for row in table.rows) for name, table in plan.params.tables.items()}
        run_id = store.create(TABLES_RUN, tags | {f"table.{name}": names for name, names in rows.items()})
        for folder, paths in artifacts.items():
            for path in paths:
                store.client.log_artifact(run_id, str(path), folder)
    for name in (
        "report.html",
        "provenance.json",
        "cost_measured.csv",
    ):  # each time, as they contain times and machines
        if (results / name).exists():
            store.client.log_artifact(run_id, str(results / name))
    store.end(run_id, "FINISHED")
