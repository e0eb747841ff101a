"""Parents in MLflow: runs that differ in their training seed only, below one with mean and spread of their scores.

A parent is made from what the database has, not from results/. So it does not matter how often, or from which machine,
this is done: each group of runs ends with one parent, whose numbers are those of the runs below it.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transgan.config.plan import Plan
from transgan.tracking import describe
from transgan.tracking.describe import DESCRIPTION, METRICS_PER_CALL, NO_STEP, SCORE_PREFIX, Metric
from transgan.tracking.store import Store
from transgan.utils.escape import markdown

PARENT = "mlflow.parentRunId"  # the tag by which MLflow's page puts a run below another
STAGE = "seeds"  # the tag `stage` of a parent
STD_PREFIX = "score_std/"
FIRST_WORDS = "Mean over training seeds of "  # of a description; one that begins otherwise is a user's


@dataclass(frozen=True)
class Spread:
    """A score over training seeds: mean, standard deviation and number of seeds, at least two."""

    mean: float
    std: float
    seeds: int


def group_seeds(store: Store, plan: Plan) -> None:
    """Put runs that differ in their training seed below a parent, as soon as two seeds of a group have scores.

    Runs of one seed that were logged twice count once, by their mean. A second call changes nothing.
    """
    groups = seed_groups(plan)
    if not groups:
        return
    trained, parents = store.with_stage("train"), store.with_stage(STAGE)
    parent_of = {run.info.run_id: run.data.tags.get(PARENT) for run in trained}
    for first, names in groups.items():
        fingerprints = {name: plan.fingerprint("train", name) for name in names}
        by_data = defaultdict(list)
        for run in trained:
            if fingerprints.get(run.data.tags.get("run")) == run.data.tags.get("fingerprint"):
                by_data[run.data.tags.get("data", "")].append(run)
        for data, children in by_data.items():
            key = {"seeds_of": first, "fingerprint": fingerprints[first], "data": data}
            own = [run for run in parents if key.items() <= run.data.tags.items()]
            spreads = spread(children)
            parent = _updated(store, plan, names, key, own, children, spreads) if spreads else None
            for run in children:
                parent_of[run.info.run_id] = _put_below(store, run, parent, {each.info.run_id for each in own})
    for run in parents:  # of a row that has changed, or one that two processes created at the same time
        if run.info.run_id not in parent_of.values():
            store.delete(run.info.run_id)


def seed_groups(plan: Plan) -> dict[str, list[str]]:
    """The first of a group -> its runs: those that share a cell and have the same configuration but for the seed."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in plan.runs:
        groups[describe.seed_group(plan, name)].append(name)
    alike = {
        first: [name for name in names if _configuration(plan, name) == _configuration(plan, first)]
        for first, names in groups.items()
        if len(names) > 1
    }
    return {first: names for first, names in alike.items() if len(names) > 1}


def spread(runs: Sequence[Any]) -> dict[str, Spread]:
    """The scores that two or more training seeds of MLflow runs have: their names -> mean and spread over the seeds.

    A score that is not a finite number everywhere is left out.
    """
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for key, value in run.data.metrics.items():
            if key.startswith(SCORE_PREFIX):
                values[key][run.data.params.get("seed", "")].append(value)
    means = {key: [statistics.fmean(each) for each in by_seed.values()] for key, by_seed in sorted(values.items())}
    return {
        key: Spread(statistics.fmean(of), statistics.stdev(of), len(of))
        for key, of in means.items()
        if len(of) > 1 and all(map(math.isfinite, of))
    }


def _configuration(plan: Plan, name: str) -> dict[str, str]:
    return {key: value for key, value in describe.parameters(plan.runs[name]).items() if key != "seed"}


def _updated(
    store: Store,
    plan: Plan,
    names: Sequence[str],
    key: Mapping[str, str],
    own: Sequence[Any],
    children: Sequence[Any],
    spreads: Mapping[str, Spread],
) -> str:
    """Bring the parent of `children` up to date, created if there is none in `own`; return its id."""
    first, parent = names[0], min(own, key=lambda run: str(run.info.run_id), default=None)
    tags = {"stage": STAGE, "scale": plan.scale_name, "dataset": plan.runs[first].dataset_name, **key}
    tags |= {"runs": "; ".join(sorted({run.data.tags["run"] for run in children}, key=names.index))}
    tags |= {"feeds": "; ".join(f"{table}: {row}" for table, row in _rows(plan, names))}
    note = _note(plan, names, spreads)
    if parent is None:
        begun = min(run.info.start_time for run in children)
        run_id = store.create(f"{first} (mean of seeds)", tags | {DESCRIPTION: note}, begun)
    else:
        run_id = parent.info.run_id
        written = parent.data.tags.get(DESCRIPTION, "")
        generated = written == "" or written.startswith(FIRST_WORDS)
        store.set_tags(run_id, tags | ({DESCRIPTION: note} if generated else {}))
    known = parent.data.params if parent else {}
    parameters = {name: value for name, value in _configuration(plan, first).items() if name not in known}
    store.log_parameters(run_id, parameters)
    ended = max(run.info.end_time or run.info.start_time for run in children)
    wanted = {name: of.mean for name, of in spreads.items()}
    wanted |= {STD_PREFIX + name.removeprefix(SCORE_PREFIX): of.std for name, of in spreads.items()}
    stored = parent.data.metrics if parent else {}
    new = [Metric(name, value, NO_STEP, ended) for name, value in wanted.items() if stored.get(name) != value]
    for start in range(0, len(new), METRICS_PER_CALL):
        store.log_metrics(run_id, new[start : start + METRICS_PER_CALL])
    if new or parent is None or parent.info.status != "FINISHED":
        store.end(run_id, "FINISHED", ended)
    return run_id


def _put_below(store: Store, run: Any, parent: str | None, own: set[str]) -> str | None:
    """Set a run's parent and return it; without one, take the run from below the parents `own`. None if it has none."""
    now: str | None = run.data.tags.get(PARENT)
    if parent is not None and now != parent:
        store.set_tags(run.info.run_id, {PARENT: parent})
        return parent
    if parent is None and now in own:
        store.client.delete_tag(run.info.run_id, PARENT)
        return None
    return now


def _rows(plan: Plan, names: Sequence[str]) -> list[tuple[str, str]]:
    """(table, row) of the cells that are the mean of exactly these runs, each once."""
    cells = (
        (table, row.name)
        for table, config in plan.params.tables.items()
        for row in config.rows
        for runs in row.runs.values()
        if set(runs) == set(names)
    )
    return list(dict.fromkeys(cells))


def _note(plan: Plan, names: Sequence[str], spreads: Mapping[str, Spread]) -> str:
    """The description in MLflow, as Markdown: the numbers with their seeds, and the cells that have them."""
    runs = ", ".join(f"`{name}`" for name in names)
    lines = "".join(
        f"\n| `{key.removeprefix(SCORE_PREFIX)}` | {of.mean:.4g} | {of.std:.2g} | {of.seeds} |"
        for key, of in spreads.items()
    )
    warning = (
        "" if plan.scale.comparable else f"\n\n**Not comparable with the paper**: {markdown(plan.scale.description)}."
    )
    cells = "".join(f"\n- `{table}`: {markdown(row)}" for table, row in _rows(plan, names))
    return (
        f"{FIRST_WORDS}{runs}. `{STD_PREFIX}` is the standard deviation over the seeds.{warning}\n\n"
        f"| score | mean | standard deviation | seeds |\n|---|---|---|---|{lines}\n\n"
        f"Rows with these numbers:{cells or ' none.'}"
    )
