"""Logs to MLflow what it lacks: after the database was unreachable, and what later stages compute (scores, tables)."""

import csv
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transgan.config.plan import Plan, Run
from transgan.errors import UserError
from transgan.metrics import training_fid
from transgan.metrics.score_file import read_scores
from transgan.pipeline.run_files import check_trained, read_provenance, read_record
from transgan.tracking import describe
from transgan.tracking.advice import advice, explained, reason
from transgan.tracking.connection import connect
from transgan.tracking.describe import DESCRIPTION
from transgan.tracking.tracker import CONFIGURATION, Tracker, create, milliseconds
from transgan.tracking.uri import tracking_uri
from transgan.utils.secrets import mask

if TYPE_CHECKING:
    from transgan.tracking.store import Store

logger = logging.getLogger(__name__)


def sync(plan: Plan) -> None:
    """Log what the database lacks: curves, images and scores of the scale's finished runs, and its tables.

    A second call changes nothing. Raises UserError if the database cannot be used.
    """
    try:
        store = connect(plan.scale_name)
        for run in plan.runs.values():
            _sync_run(store, plan, run)
        _group_seeds(store, plan)
        _log_tables(store, plan)
        finished = sum((plan.paths.run(name) / "run.json").exists() for name in plan.runs)
        logger.info(f"sync: MLflow at {mask(tracking_uri())} has {finished} finished runs of scale {plan.scale_name}")
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"MLflow at {mask(tracking_uri())} cannot be used ({reason(error)}); {advice(error)}, "
            "then `transgan sync` again"
        ) from error


def record_scores(plan: Plan, run_name: str) -> None:
    """Log a run's scores to its MLflow run, if training logged to one. A failure of MLflow gives a warning.

    MLflow, which takes seconds to import, stays out of the way of short runs: `record_short_runs` logs them together.
    """
    try:
        if _live_run(plan, run_name) is None:
            return
    except UserError as error:
        _warn(f"the scores of {run_name}", error)
        return
    _attempt(f"the scores of {run_name}", lambda store: _sync_run(store, plan, plan.run(run_name)), plan)


def record_run(plan: Plan, run_name: str) -> None:
    """Log one run that no table shows, with its scores if it has any. A failure of MLflow gives a warning."""
    _attempt(f"the run {run_name}", lambda store: _sync_run(store, plan, plan.run(run_name)), plan)


def record_short_runs(plan: Plan) -> None:
    """Log every finished and scored run that training did not log, and put runs below parents by seed.

    A failure of MLflow gives a warning.
    """

    def work(store: "Store") -> None:
        for name in short:
            _sync_run(store, plan, plan.run(name))
        _group_seeds(store, plan)

    try:
        scored = [name for name in plan.runs if _is_scored(plan, name)]
        short = [name for name in scored if _live_run(plan, name) is None]
    except UserError as error:
        _warn("short runs", error)
        return
    if short or len({describe.seed_group(plan, name) for name in scored}) < len(scored):
        _attempt(f"{len(short)} short runs", work, plan)


def record_tables(plan: Plan) -> None:
    """Log the scale's tables, figures and report to a run `reproduce_tables`. A failure of MLflow gives a warning."""
    _attempt("the tables", lambda store: _log_tables(store, plan), plan)


def _attempt(what: str, work: "Callable[[Store], None]", plan: Plan) -> None:
    try:
        work(connect(plan.scale_name))
    except Exception as error:
        _warn(what, error)


def _warn(what: str, error: Exception) -> None:
    logger.warning(f"MLflow: {what} could not be logged ({explained(error)}); `transgan sync` logs them later")


def _sync_run(store: "Store", plan: Plan, run: Run) -> None:
    folder, record = plan.paths.run(run.name), read_record(plan, run.name)
    if record is None:
        return
    if record["fingerprint"] != plan.fingerprint("train", run.name):
        logger.warning(f"{run.name}: its results belong to another configuration; train it again, then sync")
        return
    for name in ("history.csv", "dynamics.npz", "samples.png"):
        if (folder / name).exists():
            check_trained(plan, run.name, folder / name)
    origin = read_provenance(plan, run.name)
    found = _find_run(store, record, origin)
    run_id = found or create(store, plan, run, record["fingerprint"], record["data"], origin)
    artifacts = store.artifacts(run_id)
    tags = describe.tags(plan, run, record["fingerprint"], record["data"], origin)
    if found and CONFIGURATION not in artifacts:
        _bring_up_to_date(store, plan, run, run_id, tags)
    tracker = Tracker(store, run_id, strict=True, is_new=found is None)
    tracker.log_history(_read_history(folder / "history.csv"))
    if (folder / "dynamics.npz").exists():
        points = training_fid.measured_in(folder / "dynamics.npz")
        tracker.log_fid(points, training_fid.positions(plan, run, points))
    if (folder / "samples.png").exists() and "samples.png" not in artifacts:
        tracker.log_image(folder / "samples.png", "samples.png")
    model = _log_generator(store, plan, run, run_id, tags)
    scores = read_scores(plan, run.name)
    if scores is not None and scores["train_fingerprint"] == record["fingerprint"]:
        tracker.log_scores(scores, run, training_fid.scored_position(plan, run, scores), model)
    tracker.mark_finished(milliseconds(origin.get("finished")))


def _bring_up_to_date(store: "Store", plan: Plan, run: Run, run_id: str, tags: dict[str, str]) -> None:
    """Give a run that an earlier version logged what this version logs when it creates one.

    A description that a user has written stays.
    """
    written = store.client.get_run(run_id).data.tags.get(DESCRIPTION, "")
    generated = written == "" or written.startswith(f"{run.model_name} on {run.dataset_name} at ")
    store.set_tags(run_id, {key: tags[key] for key in ("seed_group", *((DESCRIPTION,) if generated else ()))})
    store.log_dataset(run_id, run.dataset_name, tags["data"], plan.paths.data(run.dataset_name))
    store.client.log_text(run_id, describe.configuration(run), CONFIGURATION)


def _log_generator(store: "Store", plan: Plan, run: Run, run_id: str, tags: dict[str, str]) -> str | None:
    """Log the run's generator as a model and return its id; None if there is none or none is wanted."""
    from transgan.tracking import models  # imports MLflow

    weights = plan.paths.run(run.name) / "generator.safetensors"
    how = plan.params.execution.log_model
    if how == "none" or not weights.exists():
        return None
    check_trained(plan, run.name, weights)
    return models.log_generator(store, run_id, run.name, weights, run.dataset.resolution, how, tags)


def _group_seeds(store: "Store", plan: Plan) -> None:
    from transgan.tracking.seeds import group_seeds  # imports MLflow

    group_seeds(store, plan)


def _log_tables(store: "Store", plan: Plan) -> None:
    from transgan.tracking.tables import log_tables  # imports MLflow

    log_tables(store, plan)


def _live_run(plan: Plan, run_name: str) -> str | None:
    """The id of the MLflow run that training logged to, whether or not it is in this database."""
    run_id: str | None = read_provenance(plan, run_name).get("mlflow_run_id")
    return run_id


def _is_scored(plan: Plan, run_name: str) -> bool:
    """Whether the run has scores of what its configuration trains now."""
    scores = read_scores(plan, run_name)
    return scores is not None and scores["train_fingerprint"] == plan.fingerprint("train", run_name)


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
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
