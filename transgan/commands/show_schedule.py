"""The part of `transgan plan` that shows how long a scale takes on a number of GPUs, and what that costs.

The simulation is transgan.cost.schedule's, with the hours of the plan.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from transgan.config.plan import Plan
from transgan.cost import budget, schedule
from transgan.cost.schedule import Job
from transgan.errors import UserError
from transgan.pipeline.stages import stages
from transgan.utils.units import duration, plain_number


@dataclass(frozen=True)
class Question:
    """For which numbers of GPUs a schedule is asked, and the price of a GPU-hour if the cost is asked, too."""

    gpus: tuple[int, ...]
    price: float | None


def question(gpus: str | None, price: float | None) -> Question | None:
    """The options `--gpus` (4 or 4,32,256) and `--price`; None without `--gpus`. Raises UserError if one is wrong."""
    if price is not None and not (math.isfinite(price) and price >= 0):
        raise UserError(f"--price {price}: give the price of one GPU for one hour, for example --price 2.5")
    if gpus is None:
        if price is not None:
            raise UserError("--price needs the number of GPUs; add for example --gpus 32")
        return None
    words = [word.strip() for word in gpus.split(",")]
    for word in words:
        if not re.fullmatch(r"[1-9][0-9]{0,5}", word):
            raise UserError(
                f"--gpus {gpus}: {word!r} is no number from 1 to 999999; write --gpus 32 or --gpus 4,32,256"
            )
    return Question(tuple(dict.fromkeys(map(int, words))), price)


def of(plan: Plan, rows: Mapping[str, dict[str, Any]], asked: Question) -> dict[str, Any]:
    """The schedule of all stages of a plan on each number of GPUs.

    {gpu_hours, critical_path: {hours, stages}, enough_gpus, price, on: [{gpus, hours, utilization, cost_used,
    cost_held, runs: {run: {start, end, gpus}}}]}. Times are hours after the first start; the path lists the stages that
    take time; costs are None without a price. `rows` are those of `transgan plan` by run, with device-hours. Raises
    UserError if the hours of a run are unknown, or if it takes more GPUs than there are.
    """
    unknown = next((name for name, row in rows.items() if row["hours"] is None), None)
    if unknown is not None:
        raise UserError(
            f"--gpus: the hours of {unknown} are unknown; add --device with one of {', '.join(budget.DEVICES)}, "
            "or --calibrate to measure this device"
        )
    hours = {f"train@{name}": row["hours"] / row["devices"] for name, row in rows.items()}
    jobs = schedule.jobs(stages(plan), hours)
    path = schedule.critical_path(jobs)
    return {
        "gpu_hours": schedule.gpu_hours(jobs),
        "critical_path": {"hours": sum(job.hours for job in path), "stages": [job.name for job in path if job.hours]},
        "enough_gpus": schedule.enough_gpus(jobs),
        "price": asked.price,
        "on": [_on(jobs, gpus, asked.price) for gpus in asked.gpus],
    }


def _on(jobs: list[Job], gpus: int, price: float | None) -> dict[str, Any]:
    found = schedule.simulate(jobs, gpus)
    runs = {
        job.name.removeprefix("train@"): {
            "start": found.start[job.name],
            "end": found.start[job.name] + job.hours,
            "gpus": job.devices,
        }
        for job in jobs
        if job.name.startswith("train@")
    }
    return {
        "gpus": gpus,
        "hours": found.makespan,
        "utilization": found.utilization,
        "cost_used": None if price is None else price * found.gpu_hours,
        "cost_held": None if price is None else price * gpus * found.makespan,
        "runs": runs,
    }


def show(console: Console, content: dict[str, Any]) -> None:
    """Print a plan's `schedule`: a line for each number of GPUs, the critical path, and what the hours are."""
    found, rows = content["schedule"], [row for row in content["runs"] if row["status"] != "skipped"]
    console.print(
        f"Scale {content['scale']}: {len(rows)} runs, {plain_number(found['gpu_hours'])} GPU-hours of training"
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    priced = found["price"] is not None
    columns = ("GPUs", "all done after", "utilization", *(("cost, used", "cost, held") if priced else ()))
    for column in columns:
        table.add_column(column, justify="right")
    for row in found["on"]:
        costs = [plain_number(row["cost_used"]), plain_number(row["cost_held"])] if priced else []
        table.add_row(str(row["gpus"]), _time(row["hours"]), f"{row['utilization']:.0%}", *costs)
    console.print(table)
    for line in _notes(found, rows, content["device"]):
        console.print(line)


def _notes(found: dict[str, Any], rows: list[dict[str, Any]], device: dict[str, Any] | None) -> list[str]:
    """The critical path, and what the numbers include and assume: a sentence or two each."""
    path, enough = found["critical_path"], found["enough_gpus"]
    rehearsed = sum(row["rehearsed"] for row in rows)
    origins = [f"measured by `transgan rehearse` for {rehearsed} of {len(rows)} runs"] if rehearsed else []
    if rehearsed < len(rows) and device is not None:
        origins.append(f"on {device['name']}, {device['basis']}")
    several = [row["run"] for row in rows if row["devices"] > 1]
    return [
        f"Critical path, {_time(path['hours'])}: {', '.join(path['stages'])}.",
        f"{enough} GPU{'s' * (enough > 1)} suffice{'s' * (enough == 1)} for the critical path. More shorten nothing, "
        "unless the run on it trains on several (`devices` in its recipe).",
        *(
            [f"Costs at {found['price']:g} per GPU-hour. Used: of the GPU-hours. Held: of all GPUs until all is done."]
            if found["price"] is not None
            else []
        ),
        "Only training takes time here: the other stages (fetch, prepare, classifier, reference, score, table, cells, "
        "figure) take none. Finished runs are scheduled, too.",
        f"Hours: {'; otherwise '.join(origins)}.",
        *([f"Taken to be as many times as fast as their GPUs: {', '.join(several)}."] if several else []),
        "Runs start by the critical path. Snakemake and Slurm may choose another order, and end later.",
    ]


def _time(hours: float) -> str:
    return duration(hours * budget.SECONDS_PER_HOUR)
