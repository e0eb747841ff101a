"""`transgan plan`: every run of a scale with its sizes, cost, memory, hours and disk, and where it stands; the same by table and in all.

Sizes and costs are counted on the real modules on the meta device (transgan.cost.estimate). Those of the product's own runs come with it
(transgan.cost.counts); others are remembered in state/.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from transgan.config.plan import Plan, Run
from transgan.cost import budget, counts
from transgan.errors import UserError
from transgan.hardware.info import device_bytes
from transgan.pipeline.freshness import carried, freshness
from transgan.pipeline.stages import stages

GIB = 2**30


def show(plan: Plan, as_json: bool, device: str | None = None, calibrate: bool = False) -> None:
    """Print the plan as tables, or as JSON: {"scale", "description", "device", "runs": [...], "tables": [...], "total": {...}}.

    Hours are of `device`, a name of price.DEVICES, else of the device at hand as it was calibrated; unknown (null) where it never was. With
    `calibrate` it is measured first. Raises UserError for an unknown device, or one to be calibrated that is not at hand.
    """
    if calibrate and device is not None:
        raise UserError("--calibrate measures the device at hand; leave --device out")
    costs = {name: counts.counted(plan, run) for name, run in plan.runs.items()}
    if calibrate:
        from transgan.cost.calibrate import calibrate as measure

        first = next(iter(plan.made.values()))
        measure(plan, first, costs[first.name]["gflop_per_image"])
    rate = budget.named(device) if device is not None else budget.at_hand(plan)
    statuses = run_status(plan)
    needs = {name: budget.disk(plan, run, _parameters(costs[name])) for name, run in plan.runs.items()}
    rows = [_row(plan, run, costs[name], rate, needs[name], statuses[name]) for name, run in plan.runs.items()]
    made = {row["run"]: row for row in rows if row["run"] in plan.made}
    tables = [{"table": name, **_sum(made, needs, plan.feeding("tables", name))} for name in plan.params.tables]
    total = {**_sum(made, needs, made), "parts": _parts(needs[name] for name in made)}
    shown = {
        "scale": plan.scale_name,
        "description": plan.scale.description,
        "device": rate.plain() if rate else None,
        "runs": rows,
        "tables": tables,
        "total": total,
    }
    if as_json:
        print(json.dumps(shown, indent=1))
    else:
        _print(plan, shown)


def run_status(plan: Plan) -> dict[str, str]:
    """Run -> done, trained (not scored yet), resumable at n%, missing, or skipped; told from what the outputs and state folders carry."""
    judged = freshness(plan, stages(plan))
    made = {
        name: _status(plan, run, judged[f"train@{name}"], judged[f"score@{name}"]) for name, run in plan.made.items()
    }
    return {name: made.get(name, "skipped") for name in plan.runs}


def _status(plan: Plan, run: Run, trained: str, scored: str) -> str:
    folder = plan.paths.workspace("train", run.name, plan.fingerprint("train", run.name))
    if trained == "current" or (folder / "finished.json").exists():
        return "done" if scored == "current" else "trained"
    images = max((int(carried(marker).get("images", 0)) for marker in folder.glob("checkpoint-*.json")), default=0)
    return f"resumable at {100 * images // run.recipe.images}%" if images else "missing"


def _row(
    plan: Plan, run: Run, cost: dict[str, Any], rate: budget.Rate | None, need: budget.Need, status: str
) -> dict[str, Any]:
    return {
        "run": run.name,
        "dataset": run.dataset_name,
        "resolution": run.dataset.resolution,
        "images": run.recipe.images,
        "share": run.share,
        "devices": run.recipe.devices,
        **cost,
        "fits": cost["memory_gib"] * GIB <= (rate.memory if rate else device_bytes()),
        "hours": rate.hours(run, cost["total_eflop"]) if rate else None,
        "disk_gib": sum(need.values()) / GIB,
        "status": status,
    }


def _sum(rows: Mapping[str, dict[str, Any]], needs: Mapping[str, budget.Need], runs: Iterable[str]) -> dict[str, Any]:
    """Cost of several runs: what they share on disk is counted once."""
    some = [rows[run] for run in runs]
    hours = [row["hours"] for row in some]
    return {
        "runs": len(some),
        "images": sum(row["images"] for row in some),
        "eflop": sum(row["total_eflop"] for row in some),
        "hours": None if None in hours else sum(hours),
        "disk_gib": sum(budget.united(needs[row["run"]] for row in some).values()) / GIB,
    }


def _parts(needs: Iterable[budget.Need]) -> dict[str, float]:
    """GiB of archives, packs, references and runs."""
    parts: dict[str, float] = {}
    for (part, _), size in budget.united(needs).items():
        parts[part] = parts.get(part, 0.0) + size / GIB
    return parts


def _parameters(cost: dict[str, Any]) -> int:
    return int(cost["generator_parameters"] + cost["discriminator_parameters"])


def _print(plan: Plan, shown: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 150)
    runs = Table(
        title=f"{plan.file} at scale {plan.scale_name}: {plan.scale.description}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column, justify in _COLUMNS:
        runs.add_column(column, justify=justify, no_wrap=column in ("run", "dataset, pixels"))
    for row in shown["runs"]:
        runs.add_row(
            row["run"],
            f"{row['dataset']} {row['resolution']}",
            _short(row["generator_parameters"]),
            _short(row["discriminator_parameters"]),
            _number(row["gflop_per_image"]),
            _short(row["images"]),
            _number(row["total_eflop"]),
            _number(row["memory_gib"]) + ("" if row["fits"] else " !"),
            _number(row["plain_memory_gib"]),
            _hours(row["hours"]),
            _number(row["disk_gib"]),
            row["status"],
        )
    console.print(runs)
    tables = Table(
        title="By table (what several share counts in each, once in all)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in ("table", "runs", "images", "EFLOP", "hours", "GiB on disk"):
        tables.add_column(column, justify="left" if column == "table" else "right")
    for row in [*shown["tables"], {"table": "in all", **shown["total"]}]:
        sizes = _short(row["images"]), _number(row["eflop"]), _hours(row["hours"]), _number(row["disk_gib"])
        tables.add_row(row["table"], str(row["runs"]), *sizes)
    console.print(tables)
    for line in _notes(shown):
        console.print(line)


def _notes(shown: dict[str, Any]) -> list[str]:
    """What is counted, measured and assumed, a sentence each."""
    device, parts = shown["device"], shown["total"]["parts"]
    if device is None:
        hours = "Hours: unknown; `transgan plan --calibrate` measures this device in a minute, `--device NAME` takes one by name "
        hours += f"({', '.join(budget.DEVICES)})."
    else:
        hours = f"Hours: of one {device['name']}, training alone (scoring and preparing not counted); {device['said']}."
    return [
        "Counted on the real modules and step: parameters, FLOPs, memory of one device (!: does not fit; plain: without fused attention).",
        hours,
        f"Disk: {', '.join(f'{part} {_number(size)}' for part, size in parts.items())} GiB; archives as published, the rest by params.yaml.",
    ]


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
    ("hours", "right"),
    ("disk", "right"),
    ("status", "left"),
)


def _hours(hours: float | None) -> str:
    return "?" if hours is None else "<0.01" if 0 < hours < 0.01 else _number(hours)


def _number(value: float) -> str:
    """Three digits, without an exponent for large values: 1448, 64.1, 0.117, 1.1e-05."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _short(number: float) -> str:
    """1234567 -> 1.23M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
