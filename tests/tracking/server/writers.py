"""Trainings as MLflow sees them: processes that log rows at a fixed pace and then write the results of training.

`python -m tests.tracking.server.writers ROWS SECONDS FLUSH`, in a project with a run for each writer, logs ROWS rows of
every run of the scale, one each SECONDS, through the calls of the training loop. Rows are sent together each FLUSH
seconds, 15 in training. It prints a line of JSON for each writer.
"""

import json
import multiprocessing
import sys
import time
from datetime import UTC, datetime
from typing import Any

import yaml

from tests.conftest import TINY
from transgan.config import plan as plans
from transgan.config.plan import Plan
from transgan.pipeline.provenance import collect
from transgan.tracking import Tracker, tracker
from transgan.training.history import History
from transgan.utils import files

METRICS = ("d_loss", "g_loss", "gap", "gradient_penalty", "d_real", "d_fake", "d_grad_norm", "g_grad_norm")
BATCH = 16
DATA = "d" * 64
PAUSE_SECONDS = 10.0  # after a failure; 300 in training


def params(writers: int) -> str:
    """The tiny params.yaml with a run for each writer, and without tables."""
    content = yaml.safe_load(TINY.read_text())
    run = content["runs"]["one-cifar10"]
    content["runs"] = {f"writer-{number:02}": {**run, "seed": number} for number in range(writers)}
    content["scales"]["tiny"]["runs"] = {name: {} for name in content["runs"]}
    content["tables"] = {}
    text: str = yaml.safe_dump(content, sort_keys=False)
    return text


def value(seed: int, key: str, step: int) -> float:
    """What writer `seed` logs, a value of its own for each point."""
    return float(seed * 1_000_000 + METRICS.index(key) * 100_000 + step // BATCH)


def train(plan: Plan, name: str, rows: int, seconds: float, results: "multiprocessing.SimpleQueue[Any]") -> None:
    """Log and write what the training of a run does."""
    run, fingerprint, started = plan.runs[name], plan.fingerprint("train", name), datetime.now(UTC)
    history, begun, waits = History(run.recipe), time.monotonic(), [0.0]
    with Tracker.open(plan, run, fingerprint, DATA, None) as tracked:
        for number in range(1, rows + 1):
            time.sleep(max(0.0, begun + number * seconds - time.monotonic()))  # where training would compute
            images = number * BATCH
            row = history.add(images, number, {key: value(run.seed, key, images) for key in METRICS})
            before = tracked.seconds
            tracked.log_history([row])
            waits.append(tracked.seconds - before)
        folder = plan.paths.run(name)
        folder.mkdir(parents=True)
        record = {"run": name, "fingerprint": fingerprint, "data": DATA, "images": rows * BATCH}
        files.write_json(folder / "run.json", record)
        history.save(folder / "history.csv")
        files.write_json(folder / "provenance.json", collect(started, tracked.run_id))
    spent = {"seconds": time.monotonic() - begun, "waiting": tracked.seconds, "longest": max(waits)}
    results.put({"run": name, "id": tracked.run_id, **spent})


def main(rows: int, seconds: float, flush: float) -> None:
    """Start a process for each run, and print what each has spent."""
    tracker.FLUSH_SECONDS, tracker.PAUSE_SECONDS = flush, PAUSE_SECONDS
    plan = plans.load()
    import transgan.tracking.store  # noqa: F401  (once, and not in each process)

    forking = multiprocessing.get_context("fork")
    results = forking.SimpleQueue()
    processes = [forking.Process(target=train, args=(plan, name, rows, seconds, results)) for name in plan.runs]
    for process in processes:
        process.start()
    for _ in processes:
        print(json.dumps(results.get()), flush=True)
    for process in processes:
        process.join()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
