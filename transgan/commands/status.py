"""`transgan status`: how far a scale is, stage by stage: done, running, resumable, failed, and what to type next."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from transgan.config.plan import Plan
from transgan.pipeline.freshness import embedded_metadata, freshness
from transgan.pipeline.stages import Stage, stages
from transgan.utils.console import print_wrapped, say_json, table_console
from transgan.utils.locks import try_lock

LOGS = Path("logs")  # of Snakemake's jobs: logs/<scale>/<stage>/<name>.log
STATES = ("done", "running", "resumable", "failed", "outdated", "missing")
_STOPPED = re.compile(r"transgan: stopped by |.*; run the same command to resume$")
_LONGEST_TAIL = 65_536  # bytes of a log that are read


def status(plan: Plan) -> dict[str, Any]:
    """The state of every scheduled stage: {scale, stages: [{stage, name, state, note, log}],
    changed_runs, next}.

    States: done; running (a process holds its state folder); resumable (interrupted training or work); failed (its log
    ends with an error); outdated (computed under other settings or from other data); missing. `note` has the share that
    is trained, or the error; `log` is the log of a failed stage. `changed_runs` are results of runs
    that params.yaml does not have, such as those of `train --set`.
    """
    graph = stages(plan)
    fresh = freshness(plan, graph)
    rows = []
    for key, stage in graph.items():
        state, note, log = _state(plan, stage, fresh[key])
        rows.append({"stage": stage.verb, "name": stage.name, "state": state, "note": note, "log": log})
    others = sorted(path.parent.name for path in plan.paths.results.glob("runs/*/run.json"))
    changed = [name for name in others if name not in plan.runs]
    return {"scale": plan.scale_name, "stages": rows, "changed_runs": changed, "next": _next(plan, rows)}


def show(plan: Plan, as_json: bool = False) -> None:
    """Print `status`: counts by stage, then a line for each stage that is running, resumable or failed."""
    content = status(plan)
    if as_json:
        say_json(content)
        return
    rows = content["stages"]
    done = sum(row["state"] == "done" for row in rows)
    console = table_console()
    console.print(f"{plan.file} at scale {plan.scale_name}: {done} of {len(rows)} stages done")
    for verb in dict.fromkeys(row["stage"] for row in rows):
        counts = Counter(row["state"] for row in rows if row["stage"] == verb)
        console.print(f"  {verb:10} " + ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]))
    for row in rows:
        if row["state"] in ("running", "resumable", "failed"):
            note = f": {row['note']}" if row["note"] else ""
            log = f" ({row['log']})" if row["log"] else ""
            print_wrapped(console, f"{row['state']}: {row['stage']} {row['name']}{note}{log}")
    if content["changed_runs"]:
        print_wrapped(console, f"also in results/, and in no table: {', '.join(content['changed_runs'])}")
    print_wrapped(console, f"next: {content['next']}")


def _state(plan: Plan, stage: Stage, fresh: str) -> tuple[str, str, str | None]:
    """The state of a stage, a note and a log."""
    folder = plan.paths.workspace(stage.verb, stage.subject, stage.fingerprint)
    if _is_held(folder):
        return "running", _trained(plan, stage, folder), None
    if fresh in ("current", "unknown"):
        return "done", "", None
    if (folder / "finished.json").exists():
        return "done", "", None  # published by the next call, in a second
    log = LOGS / plan.scale_name / stage.verb / f"{stage.name}.log"
    if error := _error(log):
        return "failed", error, str(log)
    if trained := _trained(plan, stage, folder):
        return "resumable", trained, None
    return ("outdated" if fresh == "stale" else "missing"), "", None


def _is_held(folder: Path) -> bool:
    """Whether a process works in a state folder."""
    lock = folder.with_name(f".{folder.name}.lock")
    if not lock.exists():
        return False
    held = try_lock(lock)
    if held is None:
        return True
    held.release()
    return False


def _trained(plan: Plan, stage: Stage, folder: Path) -> str:
    """The share of a run that its newest checkpoint has; empty without one."""
    if stage.verb != "train":
        return ""
    recorded = [embedded_metadata(marker).get("images") for marker in folder.glob("checkpoint-*.json")]
    images = max((count for count in recorded if isinstance(count, int)), default=0)
    return f"{100 * images // plan.run(stage.name).recipe.images}% trained" if images else ""


def _error(log: Path) -> str:
    """The last line of a log that ends with an error of its command; empty if it does not."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - _LONGEST_TAIL, 0))
        lines = file.read().decode(errors="replace").strip().splitlines()
    last = lines[-1] if lines else ""
    if _STOPPED.match(last) or any(line.startswith("transgan: stopped by ") for line in lines[-3:]):
        return ""
    ended_in_error = last.startswith("transgan: ") or "Traceback (most recent call last):" in lines
    return last.removeprefix("transgan: ") if ended_in_error else ""


def _next(plan: Plan, rows: list[dict[str, Any]]) -> str:
    if any(row["state"] == "running" for row in rows):
        return "wait, or stop it at any moment; what stops is resumed"
    failed = next((row for row in rows if row["state"] == "failed"), None)
    if failed is not None:
        return f"fix what {failed['log']} says, then `{plan.snakemake_command}`"
    if any(row["state"] != "done" for row in rows):
        return f"`{plan.snakemake_command}`"
    return f"`{plan.command('summary')}` shows the numbers, `{plan.command('report')}` writes one page with everything"
