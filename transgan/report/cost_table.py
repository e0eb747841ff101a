"""What training costs: a table counted on the real training step, and a file of what was measured on this machine.

The table is the same on every machine.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from transgan.config.plan import Plan
from transgan.cost.counts import counted
from transgan.pipeline.freshness import embedded_metadata
from transgan.pipeline.run_files import read_provenance
from transgan.report.cells_frame import csv_text
from transgan.report.layout import Layout, Text
from transgan.utils import files
from transgan.utils.units import short_number

COLUMNS = {
    "generator_parameters": "G parameters",
    "discriminator_parameters": "D parameters",
    "gflop_per_image": "GFLOP per real image",
    "images": "real images",
    "total_eflop": "EFLOP in total",
    "memory_gib": "GiB on one device",
}
NOTE = (
    "Counted on the run's own training step, with generator steps and gradient penalty; a multiply-add counts as two "
    "operations. Memory is that of one device with one forward pass of the recipe at a time. Measured seconds and "
    "GPU-hours are in cost_measured.csv beside the report."
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
    """Write results/<scale>/cost_measured.csv: images per second and hours of every run that the scale trains.

    They are measured where the run was trained, else estimated with the median rate (operations per second) of the
    runs that were measured. Without any of those they are blank.
    """
    costs = pd.DataFrame([_measured(plan, name) for name in plan.scheduled_runs])
    rate = (costs["gflop_per_image"] * costs["images_per_second"]).median()
    measured = costs["images_per_second"].notna()
    costs["how"] = measured.map({True: "measured", False: "unknown" if pd.isna(rate) else "estimated"})
    costs["images_per_second"] = costs["images_per_second"].fillna(rate / costs["gflop_per_image"])
    hours = costs["seconds"].fillna(costs["images"] / costs["images_per_second"]) / 3600
    costs["hours"], costs["gpu_hours"] = hours.round(4), (hours * costs["gpus"]).round(4)
    costs["images_per_second"] = costs["images_per_second"].round(2)
    costs["eflop"] = costs["gflop_per_image"] * costs["images"] / 1e9
    path = plan.paths.results / "cost_measured.csv"
    columns = ["run", "how", "hardware", "images", "images_per_second", "hours", "gpu_hours", "eflop"]
    files.write_text(path, csv_text(costs[columns]))
    return path


def _counts(plan: Plan, run: str) -> dict[str, float]:
    resolved = plan.run(run)
    counts = {**counted(plan, resolved), "images": resolved.recipe.images}
    return {key: counts[key] for key in COLUMNS}


def _measured(plan: Plan, run: str) -> dict[str, Any]:
    """Images and operations of a run; its speed, hardware and GPUs if it was trained under this configuration."""
    line: dict[str, Any] = {
        "run": run,
        "images_per_second": float("nan"),
        "seconds": float("nan"),
        "gpus": float("nan"),
    }
    counts = _counts(plan, run)
    line |= {"images": counts["images"], "gflop_per_image": counts["gflop_per_image"], "hardware": None}
    trained = embedded_metadata(plan.paths.run(run) / "run.json").get("fingerprint")
    if trained != plan.fingerprint("train", run):
        return line
    provenance = read_provenance(plan, run)
    speed, machine = provenance.get("training"), provenance.get("hardware")
    if not speed or not machine:
        return line
    return {
        **line,
        "images_per_second": speed["images_per_second"],
        "seconds": speed["training_seconds"],
        "gpus": plan.run(run).recipe.devices if machine.get("gpus") else float("nan"),
        "hardware": ", ".join(machine.get("gpus") or []) or machine.get("cpu"),
    }
