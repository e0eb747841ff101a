"""`transgan plan`: every run of a scale with its sizes, cost and memory, and where it stands.

Sizes and costs are counted on the real modules on the meta device (transgan.estimate) and remembered in state/, keyed by what they depend on.
"""

import json
from dataclasses import asdict
from typing import Any

from transgan import files
from transgan.console import say
from transgan.freshness import carried, freshness
from transgan.machine import device_bytes
from transgan.plan import Plan, Run, digest
from transgan.stages import stages

# Raise when transgan.estimate counts differently, so that remembered estimates are counted again.
ESTIMATE_VERSION = 2

GIB = 2**30


def show(plan: Plan, as_json: bool) -> None:
    """Print the plan as a table, or as JSON: {"scale", "description", "runs": [...], "total": {...}}."""
    rows = [_row(plan, run) for run in plan.runs.values()]
    statuses = run_status(plan)
    for row in rows:
        row["status"] = statuses[row["run"]]
    made = [row for row in rows if row["run"] in plan.made]
    total = {"images": sum(row["images"] for row in made), "eflop": sum(row["total_eflop"] for row in made)}
    if as_json:
        print(json.dumps({"scale": plan.scale_name, "description": plan.scale.description, "runs": rows, "total": total}, indent=1))
    else:
        _print_table(plan, rows, total)


def run_status(plan: Plan) -> dict[str, str]:
    """Run -> done, trained (not scored yet), resumable at n%, missing, or skipped; told from what the outputs and state folders carry."""
    judged = freshness(plan, stages(plan))
    made = {name: _status(plan, run, judged[f"train@{name}"], judged[f"score@{name}"]) for name, run in plan.made.items()}
    return {name: made.get(name, "skipped") for name in plan.runs}


def _status(plan: Plan, run: Run, trained: str, scored: str) -> str:
    folder = plan.paths.workspace("train", run.name, plan.fingerprint("train", run.name))
    if trained == "current" or (folder / "finished.json").exists():
        return "done" if scored == "current" else "trained"
    images = max((int(carried(marker).get("images", 0)) for marker in folder.glob("checkpoint-*.json")), default=0)
    return f"resumable at {100 * images // run.recipe.images}%" if images else "missing"


def _row(plan: Plan, run: Run) -> dict[str, Any]:
    return {
        "run": run.name,
        "dataset": run.dataset_name,
        "resolution": run.dataset.resolution,
        "images": run.recipe.images,
        "share": run.share,
        "devices": run.recipe.devices,
        **(cost := counted(plan, run)),
        "fits": cost["memory_gib"] * GIB <= device_bytes(),
    }


def counted(plan: Plan, run: Run) -> dict[str, Any]:
    """Counts of one run, from the file that remembers them or by counting."""
    key = digest({"version": ESTIMATE_VERSION, "model": run.model.plain(), "recipe": run.recipe.plain(), "resolution": run.dataset.resolution})
    remembered = plan.paths.state / "estimates" / f"{key}.json"
    found = carried(remembered)
    if not found:
        say(f"counting {run.name} ...")
        from transgan.estimate import estimate

        found = asdict(estimate(run))
        files.write_json(remembered, found)
    return found


def _print_table(plan: Plan, rows: list[dict[str, Any]], total: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{plan.file} at scale {plan.scale_name}: {plan.scale.description}", title_justify="left")
    for column, justify in _COLUMNS:
        table.add_column(column, justify=justify, no_wrap=column == "run")
    for row in rows:
        table.add_row(
            row["run"],
            f"{row['dataset']} {row['resolution']}",
            _short(row["generator_parameters"]),
            _short(row["discriminator_parameters"]),
            _number(row["gflop_per_image"]),
            _short(row["images"]),
            _number(row["total_eflop"]),
            _number(row["memory_gib"]) + ("" if row["fits"] else " !"),
            _number(row["plain_memory_gib"]),
            row["status"],
        )
    console = Console(width=None if Console().is_terminal else 140)
    console.print(table)
    console.print(f"In all: {_short(total['images'])} images, {total['eflop']:.3g} EFLOP. Counted on the real modules; memory is of one device.")
    console.print(f"The device at hand has {device_bytes() / GIB:.3g} GiB; a run marked ! does not fit it. GiB, plain: without fused attention.")


_COLUMNS: tuple[tuple[str, Any], ...] = (
    ("run", "left"),
    ("dataset, pixels", "left"),
    ("G", "right"),
    ("D", "right"),
    ("GFLOP/image", "right"),
    ("images", "right"),
    ("EFLOP", "right"),
    ("GiB", "right"),
    ("GiB, plain", "right"),
    ("status", "left"),
)


def _number(value: float) -> str:
    """Three digits, without an exponent for large values: 1448, 64.1, 0.117, 1.1e-05."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _short(number: float) -> str:
    """1234567 -> 1.23M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
