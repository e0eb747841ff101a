"""The load test: writers, a server that is killed in the middle, `transgan sync`, and what the database then has."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tracking.server import writers
from tests.tracking.server.servers import Servers

# Every value of the training curves, without what MLflow itself measures of the machine.
POINTS = """
select r.name, m.key, m.step, count(*), min(m.value)
from metrics m join runs r using (run_uuid) where r.name like 'writer-%' and m.key not like 'system/%'
group by r.name, m.key, m.step
"""


@dataclass
class Load:
    """What the writers spent, in seconds, and how many points were stored when."""

    writers: list[dict[str, Any]]
    points: int
    live: int
    seconds: float
    down: float
    sync_seconds: float

    def __str__(self) -> str:
        waiting = sum(each["waiting"] for each in self.writers)
        share = waiting / sum(each["seconds"] for each in self.writers)
        return (
            f"{len(self.writers)} writers, {self.points:,} points, server away for {self.down:.0f} s\n"
            f"stored while they wrote: {self.live:,} points in {self.seconds:.0f} s, "
            f"{self.live / waiting * len(self.writers):,.0f} points per second of sending\n"
            f"share of the writers' time spent on tracking: {share:.1%}, longest wait of one row "
            f"{max(each['longest'] for each in self.writers):.1f} s\n"
            f"stored by transgan sync: {self.points - self.live:,} points in {self.sync_seconds:.0f} s"
        )


def load(servers: Servers, project: Path, processes: int, rows: int, pace: float, flush: float) -> Load:
    """Let `processes` writers log `rows` rows each, kill the server meanwhile, and sync. Raises AssertionError.

    The server is killed in the middle. If the writers still work when it is back, it is killed again before they end.
    The current directory is `project`, and becomes that of a scale with a run for each writer.
    """
    (project / "params.yaml").write_text(writers.params(processes))
    begun = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.tracking.server.writers", str(rows), str(pace), str(flush)],
        cwd=project,
        env=servers.of_user(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as all_:
        expected = processes * rows * len(writers.METRICS)
        at = random.uniform(0.3, 0.6) * expected
        wait(lambda: stored(servers) > at, all_)
        servers.kill_mlflow()
        killed = time.monotonic()
        servers.start_mlflow()
        down = time.monotonic() - killed
        until = begun + rows * pace
        if time.monotonic() < until:
            time.sleep(until - time.monotonic())
            servers.kill_mlflow()
        out, err = all_.communicate(timeout=900)
    assert all_.returncode == 0, err
    assert "Traceback" not in err
    seconds, live = time.monotonic() - begun, stored(servers)
    if not servers.is_running:
        servers.start_mlflow()
    results = [json.loads(line) for line in out.splitlines()]
    assert len(results) == processes
    assert any("training continues" in line for line in err.splitlines()), err  # the kill was felt
    begun = time.monotonic()
    done = servers.run(project, "transgan", "sync")
    assert done.returncode == 0, done.stderr
    result = Load(results, expected, live, seconds, down, time.monotonic() - begun)
    check(servers, processes, rows)
    return result


def stored(servers: Servers) -> int:
    """How many points the database has."""
    return int(servers.query(f"select count(*) from ({POINTS}) p")[0][0])


def check(servers: Servers, processes: int, rows: int) -> None:
    """Every point is there, once, with its value, in one finished run for each writer."""
    found = {(run, key, step): (count, value) for run, key, step, count, value in servers.query(POINTS)}
    expected = {
        (f"writer-{seed:02}", key, number * writers.BATCH): (1, writers.value(seed, key, number * writers.BATCH))
        for seed in range(processes)
        for key in writers.METRICS
        for number in range(1, rows + 1)
    }
    assert found.keys() == expected.keys()
    assert {point: pair for point, pair in found.items() if pair != expected[point]} == {}
    runs = servers.query("select name, status from runs where name like 'writer-%' order by name")
    assert runs == [(f"writer-{seed:02}", "FINISHED") for seed in range(processes)]


def wait(ready: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait until `ready`. Raises AssertionError if the process ends before."""
    while not ready():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
