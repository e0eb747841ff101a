"""What a training run is called in MLflow: its parameters, tags and data, and the table rows it feeds."""

from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from transgan.config.plan import Plan, Run
from transgan.pipeline import provenance

# What training depends on; the protocol belongs to the scores and may change without training again.
PARAMETER_SECTIONS = ("dataset", "model", "recipe")


def parameters(run: Run) -> dict[str, str]:
    """The run's resolved configuration, flattened: `recipe.generator.lr` -> `0.0001`; lists of plain values stay one value."""
    plain = run.plain()
    names = {key: str(plain[key]) for key in ("dataset_name", "model_name", "recipe_name", "seed")}
    return names | dict(pair for section in PARAMETER_SECTIONS for pair in _flat(plain[section], section))


def _flat(value: Any, at: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flat(item, f"{at}.{key}")]
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        return [pair for i, item in enumerate(value) for pair in _flat(item, f"{at}.{i}")]
    return [(at, ", ".join(map(str, value)) if isinstance(value, list) else str(value))]


def feeds(plan: Plan, run: str) -> dict[str, list[str]]:
    """Table -> names of the rows in which the run has a cell."""
    found = {
        name: [row.name for row in table.rows if any(run in runs for runs in row.runs.values())]
        for name, table in plan.params.tables.items()
    }
    return {name: rows for name, rows in found.items() if rows}


def tags(plan: Plan, run: Run, fingerprint: str, data: str, source: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Tags to find a run by; `table.<name>` is there for every table that the run feeds and holds its rows.

    `source` is the commit and dirty flag of the sources that trained it, by default those running now.
    """
    rows = feeds(plan, run.name)
    source = source or provenance.source()
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
        "feeds": _joined(f"{table}: {row}" for table, names in rows.items() for row in names),
        "mlflow.note.content": _note(plan, run, rows),
        "mlflow.source.name": f"transgan train {run.name} --scale {run.scale}",
        "mlflow.source.type": "LOCAL",
        **({"mlflow.source.git.commit": source["commit"]} if source["commit"] else {}),
        **{f"table.{table}": _joined(names) for table, names in rows.items()},
    }


def _joined(names: Any) -> str:
    return "; ".join(dict.fromkeys(names))


def _note(plan: Plan, run: Run, rows: Mapping[str, Sequence[str]]) -> str:
    used = "".join(
        f"\n- {plan.params.tables[table].source}, `{table}`: {_joined(names)}" for table, names in rows.items()
    )
    comparable = (
        "" if plan.scale.comparable else "\n\n**Not comparable with the paper**: " + plan.scale.description + "."
    )
    return (
        f"{run.model_name} on {run.dataset_name} at {run.dataset.resolution} pixels, {run.recipe.images:,} real images shown "
        f"({100 * run.share:.2g}% of the full schedule).{comparable}\n\nFeeds:{used or ' no table.'}"
    )
