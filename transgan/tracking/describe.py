"""A training run's content in MLflow as plain data: metrics, parameters, tags, and the table rows it feeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import yaml

from transgan.config.plan import Plan, Run
from transgan.pipeline import provenance
from transgan.utils.escape import markdown

METRICS_PER_CALL = 1000  # MLflow's limit
DESCRIPTION = "mlflow.note.content"  # the tag with a description in Markdown
# What training depends on. The protocol is not logged, as it may change without training again.
PARAMETER_SECTIONS = ("dataset", "model", "recipe")


@dataclass(frozen=True)
class Metric:
    """One value of a metric: `step` is real images shown, `time` milliseconds since 1970.

    Scores have no step, so that MLflow draws bars and not lines of one point. `model` is the id of the model scored.
    """

    key: str
    value: float
    step: int
    time: int
    model: str | None = None


NO_STEP = 0  # what MLflow stores where no step is given
SCORE_PREFIX = "score/"  # MLflow's charts have a section for each prefix


def score_key(metric: str, dataset: str, protocol: str) -> str:
    """The name of a score in MLflow: `score/fid.cifar10.fid50k-train`."""
    return f"{SCORE_PREFIX}{metric}.{dataset}.{protocol}"


def parameters(run: Run) -> dict[str, str]:
    """The run's resolved configuration, flattened: `recipe.generator.lr` -> `0.0001`.

    A list of plain values is one parameter.
    """
    plain = run.plain()
    names = {key: str(plain[key]) for key in ("dataset_name", "model_name", "recipe_name", "seed")}
    return names | dict(pair for section in PARAMETER_SECTIONS for pair in _flattened(plain[section], section))


def _flattened(value: Any, at: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flattened(item, f"{at}.{key}")]
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        return [pair for i, item in enumerate(value) for pair in _flattened(item, f"{at}.{i}")]
    return [(at, ", ".join(map(str, value)) if isinstance(value, list) else str(value))]


def feeds(plan: Plan, run: str) -> dict[str, list[str]]:
    """Table -> names of the rows in which the run has a cell."""
    rows = {
        name: [row.name for row in table.rows if any(run in runs for runs in row.runs.values())]
        for name, table in plan.params.tables.items()
    }
    return {table: names for table, names in rows.items() if names}


def seed_group(plan: Plan, run: str) -> str:
    """The first of the runs that share a cell with `run`, which differ in their training seeds; else `run` itself."""
    cells = (runs for table in plan.params.tables.values() for row in table.rows for runs in row.runs.values())
    return next((runs[0] for runs in cells if run in runs), run)


def configuration(run: Run) -> str:
    """The run's resolved configuration as YAML, after all overrides."""
    return yaml.safe_dump(run.plain(), sort_keys=False, allow_unicode=True)


def tags(plan: Plan, run: Run, fingerprint: str, data: str, source: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Tags for finding a run. `table.<name>` lists the rows of that table which use the run.

    `source` has the commit and dirty flag of the code that trained it, by default those of the running code.
    """
    rows = feeds(plan, run.name)
    source = {key: source.get(key) for key in ("commit", "dirty")} if source else provenance.source()
    return {
        "stage": "train",
        "run": run.name,
        "scale": run.scale,
        "dataset": run.dataset_name,
        "fingerprint": fingerprint,
        "data": data,
        "commit": str(source["commit"]),
        "dirty": str(source["dirty"]).lower(),
        "torch": metadata.version("torch"),
        "seed_group": seed_group(plan, run.name),
        "feeds": _joined(f"{table}: {row}" for table, names in rows.items() for row in names),
        DESCRIPTION: _note(plan, run, rows),
        "mlflow.source.name": f"transgan train {run.name} --scale {run.scale}",
        "mlflow.source.type": "LOCAL",
        **({"mlflow.source.git.commit": source["commit"]} if source["commit"] else {}),
        **{f"table.{table}": _joined(names) for table, names in rows.items()},
    }


def _joined(names: Any) -> str:
    return "; ".join(dict.fromkeys(names))


def _note(plan: Plan, run: Run, rows: Mapping[str, Sequence[str]]) -> str:
    """The description of the run in MLflow, as Markdown."""
    side = run.dataset.resolution
    stand_in = "" if run.dataset.source in run.dataset_name else f" ({run.dataset.source} in its place)"
    size = f"Model `{run.model_name}`, trained on `{run.dataset_name}`{stand_in}, {side} x {side} pixels"
    schedule = (
        f"recipe `{run.recipe_name}`, seed {run.seed}: {run.recipe.images:,} real images shown "
        f"({100 * run.share:.2g}% of the full schedule)"
    )
    warning = f"\n\n**Not comparable with the paper**: {markdown(plan.scale.description)}."
    used = "".join(
        f"\n- {markdown(plan.params.tables[table].source)}, `{table}`: {markdown(_joined(names))}"
        for table, names in rows.items()
    )
    return f"{size}, {schedule}.{'' if plan.scale.comparable else warning}\n\nFeeds:{used or ' no table.'}"
