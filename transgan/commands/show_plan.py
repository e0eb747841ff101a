"""`transgan plan`: every run of a scale with its cost, memory, hours, disk space and status, and the sums by table.

Costs are counted on the real networks (transgan.cost.estimate). The counts of this project's runs are stored in the
repository (transgan.cost.counts), those of other runs in state/.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transgan.commands import curve_positions, show_schedule
from transgan.commands.fitted_table import UNKNOWN, Column, console_for, print_fitted
from transgan.config.plan import Plan, Run
from transgan.cost import budget, counts, rehearsal_file
from transgan.errors import UserError
from transgan.hardware.info import device_bytes
from transgan.pipeline.freshness import embedded_metadata, freshness
from transgan.pipeline.stages import stages
from transgan.utils.console import say_json, table_console
from transgan.utils.units import GIB, flop, plain_number, short_number

_RUN_COLUMNS = (
    Column("run", justify="left"),
    Column("dataset, pixels", 7, "left"),
    Column("G", 8),
    Column("D", 9),
    Column("GFLOP/image", 10),
    Column("images", 2),
    Column("operations", 4),
    Column("GiB", 5),
    Column("GiB, plain", 11),
    Column("hours", 3),
    Column("disk", 6),
    Column("status", 1, "left"),
)
_TABLE_COLUMNS = (
    Column("table", justify="left"),
    Column("runs", 1),
    Column("images", 4),
    Column("operations", 3),
    Column("hours", 2),
    Column("GiB on disk", 5),
)


def show(
    plan: Plan,
    as_json: bool,
    device: str | None = None,
    calibrate: bool = False,
    gpus: str | None = None,
    price: float | None = None,
    runs: Sequence[str] = (),
    tables: Sequence[str] = (),
) -> None:
    """Print the plan as tables, or as JSON: {scale, description, device, runs: [...], tables: [...], total: {...}}.

    `runs` and `tables` select runs by name and by table; the total is then that of the selected ones.

    With `gpus` (4 or 4,32,256) it prints when all is done on so many devices instead of the tables, and what that costs
    at `price` per device-hour; JSON then also has `schedule`.

    Hours are those of `device`, a name in budget.DEVICES, or by default of this machine's device; they are unknown
    (null) if it was never calibrated. With `calibrate`, it is measured first. Raises UserError for an unknown device,
    for both options, or for numbers that make no sense.
    """
    asked = show_schedule.question(gpus, price)
    if calibrate and device is not None:
        raise UserError("--calibrate measures this machine's device; leave --device out")
    if (runs or tables) and asked is not None:
        raise UserError("--gpus is about all runs of a scale; leave --run and --table out")
    selected = _selected(plan, runs, tables)
    costs = {name: counts.counted(plan, run) for name, run in selected.items()}
    if calibrate:
        from transgan.cost import calibrate as calibration  # imports torch, which is needed only here

        first = next(iter(plan.scheduled_runs.values()))
        calibration.calibrate(plan, first, counts.counted(plan, first)["gflop_per_image"])
    rate = budget.assumed_rate(device) if device is not None else budget.measured_rate(plan)
    statuses = run_status(plan)
    needs = {name: budget.disk_need(plan, run, _parameters(costs[name])) for name, run in selected.items()}
    rows = []
    for name, run in selected.items():
        row = _row(run, costs[name], rate, needs[name], statuses[name])
        rehearsal = rehearsal_file.read(plan, run) if device is None else None  # it is of this machine's device
        rows.append({**row, **_measured(run, rehearsal), "authors_curve": curve_positions.of(plan, run)})
    scheduled = {row["run"]: row for row in rows if row["run"] in plan.scheduled_runs}
    shown = tables or ([] if runs else list(plan.params.tables))
    sums = [{"table": name, **_sum(scheduled, needs, plan.table_runs(name))} for name in shown]
    total = {**_sum(scheduled, needs, scheduled), "parts": _gib_by_part(needs[name] for name in scheduled)}
    content = {
        "scale": plan.scale_name,
        "description": plan.scale.description,
        "device": rate.plain() if rate else None,
        "runs": rows,
        "tables": sums,
        "total": total,
    }
    if asked is not None:
        content["schedule"] = show_schedule.of(plan, scheduled, asked)
    if as_json:
        say_json(content)
    elif asked is not None:
        show_schedule.show(table_console(), content)
    else:
        _print(plan, content, bool(runs or tables))


def _selected(plan: Plan, runs: Sequence[str], tables: Sequence[str]) -> dict[str, Run]:
    """The runs with these names or in these tables, in the order of the params file; all without any name."""
    if not runs and not tables:
        return plan.runs
    names = {plan.run(name).name for name in runs}.union(*(plan.table(name).run_names for name in tables))
    return {name: run for name, run in plan.runs.items() if name in names}


def run_status(plan: Plan) -> dict[str, str]:
    """Run -> done, trained (not scored yet), resumable at n%, missing, or skipped.

    The status follows from the fingerprints in the outputs and state folders.
    """
    fresh = freshness(plan, stages(plan))
    statuses = {
        name: _status(plan, run, fresh[f"train@{name}"], fresh[f"score@{name}"])
        for name, run in plan.scheduled_runs.items()
    }
    return {name: statuses.get(name, "skipped") for name in plan.runs}


def _status(plan: Plan, run: Run, trained: str, scored: str) -> str:
    folder = plan.paths.workspace("train", run.name, plan.fingerprint("train", run.name))
    if trained == "current" or (folder / "finished.json").exists():
        return "done" if scored == "current" else "trained"
    recorded = [embedded_metadata(marker).get("images") for marker in folder.glob("checkpoint-*.json")]
    images = max((count for count in recorded if isinstance(count, int)), default=0)
    return f"resumable at {100 * images // run.recipe.images}%" if images else "missing"


def _row(
    run: Run, cost: dict[str, Any], rate: budget.Rate | None, need: budget.DiskNeed, status: str
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


def _measured(run: Run, rehearsal: rehearsal_file.Rehearsal | None) -> dict[str, Any]:
    """What `transgan rehearse` measured on a GPU, in place of what would be assumed."""
    if rehearsal is None or rehearsal.result == rehearsal_file.SHAPES:
        return {"rehearsed": False}
    measured = {"rehearsed": True, "fits": rehearsal.error is None, "measured_memory_gib": rehearsal.peak_gib}
    if rehearsal.seconds_per_image is not None:
        measured["hours"] = rehearsal.seconds_per_image * run.recipe.images / budget.SECONDS_PER_HOUR
    return measured


def _sum(
    rows: Mapping[str, dict[str, Any]], needs: Mapping[str, budget.DiskNeed], runs: Iterable[str]
) -> dict[str, Any]:
    """Cost of several runs; disk space that they share is counted once."""
    selected = [rows[run] for run in runs]
    hours = [row["hours"] for row in selected]
    return {
        "runs": len(selected),
        "images": sum(row["images"] for row in selected),
        "eflop": sum(row["total_eflop"] for row in selected),
        "hours": None if None in hours else sum(hours),
        "disk_gib": sum(budget.combined(needs[row["run"]] for row in selected).values()) / GIB,
    }


def _gib_by_part(needs: Iterable[budget.DiskNeed]) -> dict[str, float]:
    """GiB of archives, packs, references and runs."""
    parts: dict[str, float] = {}
    for (part, _), size in budget.combined(needs).items():
        parts[part] = parts.get(part, 0.0) + size / GIB
    return parts


def _parameters(cost: dict[str, Any]) -> int:
    return int(cost["generator_parameters"] + cost["discriminator_parameters"])


def _print(plan: Plan, content: dict[str, Any], selected: bool) -> None:
    skipped = [row["run"] for row in content["runs"] if row["status"] == "skipped" and not selected]
    runs = [_run_cells(row) for row in content["runs"] if row["run"] not in skipped]
    tables = [_table_cells(row) for row in content["tables"]] + [_table_cells({"table": "total", **content["total"]})]
    console = console_for((_RUN_COLUMNS, runs), (_TABLE_COLUMNS, tables))
    title = f"{plan.file} at scale {plan.scale_name}: {plan.scale.description}"
    missing = print_fitted(console, title, _RUN_COLUMNS, runs)
    if skipped:
        console.print(f"{len(skipped)} more runs are skipped at this scale; --run NAME or --table NAME shows them.")
    if content["tables"] or len(runs) > 1:
        title = "By table (a run that several tables share counts in each of them, and once in the total)"
        title = title if content["tables"] else "Together"
        missing += print_fitted(console, title, _TABLE_COLUMNS, tables)
    curve_positions.show(console, content["runs"])
    for line in _notes(content):
        console.print(line)
    if missing:
        console.print(f"No room for: {'; '.join(dict.fromkeys(missing))}. A wider terminal or --json has them.")


def _run_cells(row: dict[str, Any]) -> list[str]:
    return [
        row["run"],
        f"{row['dataset']} {row['resolution']}",
        short_number(row["generator_parameters"]),
        short_number(row["discriminator_parameters"]),
        plain_number(row["gflop_per_image"]),
        short_number(row["images"]),
        flop(row["total_eflop"]),
        plain_number(row["memory_gib"]) + ("" if row["fits"] else " !"),
        plain_number(row["plain_memory_gib"]),
        _hours(row["hours"]) + ("*" if row["rehearsed"] else ""),
        plain_number(row["disk_gib"]),
        row["status"],
    ]


def _table_cells(row: dict[str, Any]) -> list[str]:
    return [
        row["table"],
        str(row["runs"]),
        short_number(row["images"]),
        flop(row["eflop"]),
        _hours(row["hours"]) if row["runs"] else "",
        plain_number(row["disk_gib"]),
    ]


def _notes(content: dict[str, Any]) -> list[str]:
    """What is counted, measured and assumed: a sentence each."""
    device, parts = content["device"], content["total"]["parts"]
    if device is None:
        hours = "unknown; `transgan plan --calibrate` measures this device in a minute, "
        hours += f"`--device NAME` assumes a known one ({', '.join(budget.DEVICES)})"
    else:
        hours = f"on one {device['name']}, training only (without preparing and scoring); {device['basis']}"
    rehearsed = any(row["rehearsed"] for row in content["runs"])
    sizes = ", ".join(f"{part} {plain_number(size)}" for part, size in parts.items())
    return [
        "Counted on the real networks and training step: parameters of G and D, operations, and memory of one device "
        "in GiB (!: does not fit; plain: without fused attention).",
        f"Hours: {hours}.",
        *(["*: measured by `transgan rehearse` on this device."] if rehearsed else []),
        f"Disk: {sizes} GiB; archives as published, the rest computed from params.yaml.",
    ]


def _hours(hours: float | None) -> str:
    return UNKNOWN if hours is None else "<0.01" if 0 < hours < 0.01 else plain_number(hours)
