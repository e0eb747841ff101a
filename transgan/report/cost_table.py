"""What training costs: a table counted on the real training step (the same everywhere), and beside the report what was measured here."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from transgan.config.plan import Plan
from transgan.cost.counts import counted
from transgan.pipeline.freshness import carried
from transgan.report.layout import Layout, Text
from transgan.utils import files
from transgan.utils.units import short_number

COLUMNS = {
    "generator_parameters": "G parameters",
    "discriminator_parameters": "D parameters",
    "gflop_per_image": "GFLOP per real image",
    "images": "real images",
    "total_eflop": "EFLOP in all",
    "memory_gib": "GiB on one device",
}
NOTE = (
    "Counted on the run's own training step, generator steps and gradient penalty included; a multiply-add is two operations. Memory is of one "
    "device with one forward pass of the recipe at a time. Seconds and GPU-hours are measured: cost_measured.csv beside the report."
)


def frame(plan: Plan, table: str) -> pd.DataFrame:
    """A line per run of a table of kind `cost`: `row`, `run` and COLUMNS."""
    lines = [
        {"row": row.name, "run": run, **_counts(plan, run)}
        for row in plan.table(table).rows
        for runs in row.runs.values()
        for run in runs
    ]
    return pd.DataFrame(lines, columns=["row", "run", *COLUMNS])


def lay_out(plan: Plan, table: str) -> Layout:
    """A table of kind `cost` as it is printed."""
    config, lines = plan.table(table), frame(plan, table)
    shared = lines["row"].duplicated(keep=False)
    names = lines["row"].where(~shared, lines["row"] + " (" + lines["run"] + ")")
    warning = f"Not the paper's networks: at scale {plan.scale_name}, {plan.scale.description}."
    return Layout(
        name=table,
        title=config.title,
        source=config.source,
        warning="" if plan.scale.comparable else warning,
        main=lines.set_index(names.rename("Run"))[list(COLUMNS)].map(short_number).map(Text).rename(columns=COLUMNS),
        details=None,
        notes=tuple(note for note in (config.note, NOTE) if note),
        footnotes=(),
    )


def write_measured(plan: Plan) -> Path:
    """Write results/<scale>/cost_measured.csv: images a second and hours of every run of the scale, measured where it was trained, else estimated.

    An estimate takes the median rate, in operations a second, of the runs that were measured; there is none without any.
    """
    measured = {name: found for name in plan.made if (found := _training(plan, name))}
    work = {name: counted(plan, plan.run(name))["gflop_per_image"] for name in plan.made}
    rates = [work[name] * found["images_per_second"] for name, found in measured.items()]
    rows = []
    for name, run in plan.made.items():
        found = measured.get(name)
        speed = found["images_per_second"] if found else median(rates) / work[name] if rates else None
        seconds = found["training_seconds"] if found else run.recipe.images / speed if speed else None
        devices = len(found["gpus"]) and run.recipe.devices if found else None
        rows.append(
            [
                name,
                "measured" if found else "estimated" if speed else "unknown",
                found["hardware"] if found else "",
                run.recipe.images,
                None if speed is None else round(speed, 2),
                None if seconds is None else round(seconds / 3600, 4),
                None if not devices or seconds is None else round(seconds / 3600 * devices, 4),
                work[name] * run.recipe.images / 1e9,
            ]
        )
    path = plan.paths.results / "cost_measured.csv"
    files.write_csv(
        path, ["run", "how", "hardware", "images", "images_per_second", "hours", "gpu_hours", "eflop"], rows
    )
    return path


def _counts(plan: Plan, run: str) -> dict[str, float]:
    resolved = plan.run(run)
    found = {**counted(plan, resolved), "images": resolved.recipe.images}
    return {key: found[key] for key in COLUMNS}


def _training(plan: Plan, run: str) -> Mapping[str, Any] | None:
    """What a run's provenance says of its speed; None where it was not trained like this, or its file did not travel."""
    path = plan.paths.run(run) / "provenance.json"
    if not path.exists() or carried(path.with_name("run.json")).get("fingerprint") != plan.fingerprint("train", run):
        return None
    known = files.read_json(path)
    speed = known.get("training")
    machine = known["hardware"]
    return (
        {**speed, "hardware": ", ".join(machine["gpus"]) or machine["cpu"], "gpus": machine["gpus"]} if speed else None
    )
