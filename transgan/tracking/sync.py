"""Bringing into MLflow what it does not have: after its database was away, and what stages make after training (scores, tables)."""

import csv
import logging
from pathlib import Path
from typing import Any

from transgan.config.plan import Plan, Run, digest
from transgan.errors import UserError
from transgan.metrics.score_file import read_scores
from transgan.pipeline import provenance
from transgan.tracking.store import Store, connect, tracking_uri
from transgan.tracking.tracker import Tracker, create, milliseconds, one_line
from transgan.utils import files

logger = logging.getLogger(__name__)


TABLES_RUN = "reproduce_tables"


def sync(plan: Plan) -> None:
    """Bring in the curves, pictures and scores of every finished run of the scale, and its tables, where the database misses them.

    Called again it changes nothing. Raises UserError where the database cannot be used.
    """
    try:
        store = connect(plan.scale_name)
        for run in plan.runs.values():
            _bring(store, plan, run)
        _bring_tables(store, plan)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"MLflow at {tracking_uri()} cannot be used ({one_line(error)}); mend it, then run transgan sync again"
        ) from error


def record_scores(plan: Plan, run_name: str) -> None:
    """Add a run's scores to its MLflow run right after scoring. Trouble is said and changes nothing."""
    _attempt(f"the scores of {run_name}", lambda store: _bring(store, plan, plan.run(run_name)), plan)


def record_tables(plan: Plan) -> None:
    """Keep the scale's tables, figures and report in a run `reproduce_tables`. Trouble is said and changes nothing."""
    _attempt("the tables", lambda store: _bring_tables(store, plan), plan)


def _attempt(what: str, work: Any, plan: Plan) -> None:
    try:
        work(connect(plan.scale_name))
    except Exception as error:
        logger.warning(f"tracking: {what} could not be kept ({one_line(error)}); `transgan sync` does it later")


def _bring(store: Store, plan: Plan, run: Run) -> None:
    folder = plan.paths.run(run.name)
    if not (folder / "run.json").exists():
        return
    record = files.read_json(folder / "run.json")
    if record["fingerprint"] != plan.fingerprint("train", run.name):
        logger.warning(f"{run.name}: its results are of another configuration; train it again, then sync")
        return
    origin = files.read_json(folder / "provenance.json") if (folder / "provenance.json").exists() else {}
    run_id = _find(store, record, origin) or create(store, plan, run, record["fingerprint"], record["data"], origin)
    tracker = Tracker(store, run_id, strict=True)
    tracker.log(_history(folder / "history.csv"))
    if (folder / "samples.png").exists() and "samples.png" not in store.artifacts(run_id):
        tracker.picture(folder / "samples.png", "samples.png")
    scores = read_scores(plan, run.name)
    if scores is not None and scores["train_fingerprint"] == record["fingerprint"]:
        tracker.scores(scores, run.dataset_name)
    tracker.close(milliseconds(origin.get("finished")))


def _find(store: Store, record: dict[str, Any], origin: dict[str, Any]) -> str | None:
    """The run that training wrote to, or the one that an earlier sync made of the same results."""
    run_id: str | None = origin.get("mlflow_run_id")
    if run_id and store.has(run_id):
        return run_id
    return store.find(
        {"stage": "train", "run": record["run"], "fingerprint": record["fingerprint"], "data": record["data"]}
    )


def _history(path: Path) -> list[dict[str, float]]:
    """Rows of history.csv without their empty cells."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def _bring_tables(store: Store, plan: Plan) -> None:
    """One MLflow run per content of the tables: made again unchanged they are not stored twice."""
    kept = {
        folder: sorted(path for path in (plan.paths.results / folder).glob("*") if path.is_file())
        for folder in ("tables", "figures")
    }
    if not kept["tables"]:
        return
    content = _digest([*kept["tables"], *kept["figures"]])
    whole = [
        path
        for name in ("cells.csv", "report.html", "provenance.json", "cost_measured.csv")
        if (path := plan.paths.results / name).exists()
    ]
    run_id = store.find({"stage": "tables", "digest": content})
    if run_id is None:
        made = provenance.source()
        tags = {
            "stage": "tables",
            "scale": plan.scale_name,
            "digest": content,
            "commit": str(made["commit"]),
            "dirty": str(made["dirty"]).lower(),
        }
        tags |= {
            f"table.{name}": "; ".join(row.name for row in table.rows) for name, table in plan.params.tables.items()
        }
        run_id = store.create(TABLES_RUN, tags)
        for folder, paths in kept.items():
            for path in paths:
                store.client.log_artifact(run_id, str(path), folder)
    for path in whole:  # anew each time: the page holds times and machines
        store.client.log_artifact(run_id, str(path))
    store.client.set_terminated(run_id, "FINISHED")


def _digest(paths: list[Path]) -> str:
    return digest({path.name: files.sha256(path) for path in paths})
