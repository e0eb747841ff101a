"""Logs the tables, figures and report of a scale: one MLflow run per content, in an experiment of their own.

Imports MLflow, as `store` does.
"""

import tempfile
from pathlib import Path
from typing import Any

from transgan.config.fingerprint import digest
from transgan.config.plan import Plan
from transgan.pipeline import provenance
from transgan.pipeline.freshness import check_recorded
from transgan.pipeline.stages import stage
from transgan.tracking.describe import DESCRIPTION
from transgan.tracking.store import Store
from transgan.utils import files
from transgan.utils.escape import markdown

TABLES_RUN = "reproduce_tables"
# These contain times and machines, so a run's newest ones are stored.
TIMED = ("report.html", "provenance.json", "cost_measured.csv")


def tables_experiment(scale: str) -> str:
    """The name of the experiment with a scale's tables."""
    return f"transgan-{scale}-tables"


def log_tables(runs: Store, plan: Plan) -> None:
    """Log the tables to one MLflow run per content: unchanged tables are not stored twice.

    `runs` is the experiment of training runs. Tables that an earlier version logged there are moved.
    """
    results = plan.paths.results
    artifacts = {
        folder: sorted(path for path in (results / folder).glob("*") if path.is_file())
        for folder in ("tables", "figures")
    }
    if not artifacts["tables"]:
        return
    for table in plan.params.tables:
        check_recorded(plan, stage(plan, "table", table))
    for figure in plan.params.figures:
        check_recorded(plan, stage(plan, "figure", figure))
    store = runs.other(tables_experiment(plan.scale_name))
    _move(runs, store)
    content = digest({path.name: files.sha256(path) for path in (*artifacts["tables"], *artifacts["figures"])})
    run_id = store.find({"stage": "tables", "digest": content})
    if run_id is None:
        source = provenance.source()
        tags = {
            "stage": "tables",
            "scale": plan.scale_name,
            "commit": str(source["commit"]),
            "dirty": str(source["dirty"]).lower(),
            DESCRIPTION: _note(plan),
        }
        rows = {name: "; ".join(row.name for row in table.rows) for name, table in plan.params.tables.items()}
        run_id = store.create(TABLES_RUN, tags | {f"table.{name}": names for name, names in rows.items()})
        for folder, paths in artifacts.items():
            for path in paths:
                store.client.log_artifact(run_id, str(path), folder)
        store.set_tags(run_id, {"digest": content})  # last, so that a run without its files is not found
    for name in TIMED:
        if (results / name).exists():
            store.client.log_artifact(run_id, str(results / name))
    store.end(run_id, "FINISHED")


def _note(plan: Plan) -> str:
    """The description in MLflow, as Markdown."""
    warning = f"\n\n**Not comparable with the paper**: {markdown(plan.scale.description)}."
    return (
        f"All tables and figures of scale `{plan.scale_name}`, as files under *Artifacts*; report.html has them on one "
        f"page.{'' if plan.scale.comparable else warning}"
    )


def _move(old: Store, new: Store) -> None:
    """Move the runs with tables from the experiment of training runs, oldest first; the old ones are then deleted."""
    for run in old.with_stage("tables"):
        moved = {"stage": "tables", "moved_from": run.info.run_id}
        if new.find(moved) is None:
            _copy(new, run, moved)
        old.delete(run.info.run_id)


def _copy(new: Store, run: Any, moved: dict[str, str]) -> None:
    own = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    run_id = new.create(run.info.run_name, {key: own[key] for key in own if key != "digest"}, run.info.start_time)
    with tempfile.TemporaryDirectory() as folder:
        new.client.download_artifacts(run.info.run_id, "", folder)
        if any(Path(folder).iterdir()):
            new.client.log_artifacts(run_id, folder)
    new.end(run_id, "FINISHED", run.info.end_time)
    new.set_tags(run_id, moved | {key: own[key] for key in own if key == "digest"})
