"""How the demo spends its time: run `python benchmarks/demo_time.py` after `make reproduce` in a fresh clone.

It writes benchmarks/results/demo-time.json. Time is counted in core-seconds (wall time times cores), as several jobs
run at the same time. Snakemake's records contain the start and end of each job, and the provenance of a run its
training time. The start-up time of a command is measured here, once per kind of command, by importing what it
imports. The rest is time that no job used: Snakemake's own work, and idle cores.
"""

import base64
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from transgan.config.plan import Plan, load
from transgan.pipeline.provenance import hardware, source
from transgan.pipeline.stages import stages
from transgan.utils import files

METADATA, LOGS = Path(".snakemake/metadata"), Path(".snakemake/log")
RESULT = Path(__file__).parent / "results" / "demo-time.json"
# What each command imports before it starts working.
IMPORTS = {
    "fetch": "transgan.data.fetch",
    "prepare": "transgan.data.prepare",
    "classifier": "transgan.scoring.classifier, torch",
    "reference": "transgan.scoring.reference, transgan.metrics.evaluator",
    "train": "transgan.training.train, transgan.training.loop",
    "score": "transgan.scoring.score, transgan.models.serialization, transgan.metrics.evaluator",
    "table": "transgan.report.tables",
    "cells": "transgan.report.cells_frame, transgan.tracking.store",
    "figure": "transgan.report.figures, transgan.report.plots.style, transgan.models.serialization",
}
IMPORT_ROUNDS = 3


@dataclass(frozen=True)
class Job:
    """One command, as Snakemake recorded it; times are in seconds since 1970."""

    verb: str
    name: str
    threads: int
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        """Core-seconds that the job occupied."""
        return (self.ended - self.started) * self.threads


def recorded_jobs(plan: Plan) -> list[Job]:
    """Every job behind the tables and figures, once each.

    Snakemake has a record per output file; the folders of a record's path are parts of a long name.
    """
    graph = stages(plan)
    jobs = {}
    for path in METADATA.rglob("*"):
        if not path.is_file() or not _is_output_of_scale(path, plan):
            continue
        record = json.loads(path.read_text())
        log = Path(record["log"][0])  # logs/<scale>/<verb>/<name>.log
        key = f"{log.parent.name}@{log.stem}"
        if key in graph and record["endtime"] is not None:
            jobs[key] = Job(log.parent.name, log.stem, graph[key].threads, record["starttime"], record["endtime"])
    return sorted(jobs.values(), key=lambda job: job.started)


def _is_output_of_scale(path: Path, plan: Plan) -> bool:
    encoded = "".join(part.removeprefix("@") for part in path.relative_to(METADATA).parts)
    output = base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode(errors="replace")
    return output.startswith((str(plan.paths.results), f"data/{plan.scale_name}/"))


def wall(jobs: list[Job]) -> tuple[float, float]:
    """Start and end of the Snakemake run around these jobs, from its log; without a log, of the jobs themselves."""
    first, last = jobs[0].started, max(job.ended for job in jobs)
    begun = [
        datetime.strptime(path.name.split(".snakemake")[0], "%Y-%m-%dT%H%M%S.%f").timestamp()
        for path in LOGS.glob("*.snakemake.log")
    ]
    ended = [path.stat().st_mtime for path in LOGS.glob("*.snakemake.log")]
    return max((moment for moment in begun if moment <= first), default=first), min(
        (moment for moment in ended if moment >= last), default=last
    )


def import_seconds(modules: str) -> float:
    """Median seconds that a fresh Python process takes to import `modules` and the command line."""
    measured = []
    for _ in range(IMPORT_ROUNDS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import transgan.cli, {modules}"], check=True)
        measured.append(time.perf_counter() - started)
    return statistics.median(measured)


def account(plan: Plan, jobs: list[Job], cores: int) -> dict[str, Any]:
    """Core-seconds by purpose, and by kind of command."""
    begun, ended = wall(jobs)
    verbs = list(dict.fromkeys(job.verb for job in jobs))
    starting = {verb: import_seconds(IMPORTS[verb]) for verb in verbs}
    spent = dict.fromkeys(("train", "score", "other stages", "starting commands"), 0.0)
    for job in jobs:
        start = min(starting[job.verb] * job.threads, job.seconds)
        if job.verb == "train":
            trained = files.read_json(plan.paths.run(job.name) / "provenance.json")["training"]["training_seconds"]
            start = max(job.seconds - trained * job.threads, 0.0)
        spent["starting commands"] += start
        spent[job.verb if job.verb in spent else "other stages"] += job.seconds - start
    whole = (ended - begun) * cores
    spent["scheduling and idle cores"] = whole - sum(spent.values())
    return {
        "wall_seconds": round(ended - begun, 1),
        "cores": cores,
        "core_seconds": {what: round(seconds, 1) for what, seconds in spent.items()},
        "share": {what: round(seconds / whole, 4) for what, seconds in spent.items()},
        "commands": {
            verb: {
                "count": sum(job.verb == verb for job in jobs),
                "core_seconds": round(sum(job.seconds for job in jobs if job.verb == verb), 1),
                "start_seconds": round(starting[verb], 2),
            }
            for verb in verbs
        },
    }


def main() -> None:
    plan = load(None, "demo")
    jobs = recorded_jobs(plan)
    if not jobs:
        sys.exit("no records of Snakemake in this folder: run `make reproduce` in a fresh clone first")
    machine = hardware()
    result = {**account(plan, jobs, int(machine["cores"])), "machine": machine, **source()}
    missing = set(stages(plan)) - {f"{job.verb}@{job.name}" for job in jobs}
    if missing:
        print(
            f"no record of {len(missing)} stages, e.g. {min(missing)}: did another tool run them?",
            file=sys.stderr,
        )
    files.write_json(RESULT, result)
    print(files.dumps(result), end="")


if __name__ == "__main__":
    main()
