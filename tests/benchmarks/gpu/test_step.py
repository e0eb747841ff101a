"""Parts of a step: each in a process of its own, whose results survive what happens to it."""

import os
import signal
import time
from pathlib import Path

import pytest
from gpu.results import read_json, write_json
from gpu.step import Part, Results, Step, run_part


def good() -> Results:
    yield "first", 1
    yield "second", {"ms": 2.5}


def failing() -> Results:
    yield "before", 1
    raise RuntimeError("CUDA error: no such thing\nlong explanation")


def hanging() -> Results:
    yield "before", 1
    time.sleep(60)


def killed() -> Results:
    yield "before", 1
    os.kill(os.getpid(), signal.SIGKILL)


def new_step(folder: Path, seconds: float) -> Step:
    write_json(folder / "session.json", {"steps": {}})
    deadline = time.monotonic() + seconds
    return Step("cpu", True, None, folder, folder, deadline, folder / "result.json")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_part_reports_each_result_as_it_comes(method: str) -> None:
    updates = list(run_part(Part("good", 1, good), 60, method))
    assert [update["results"] for update in updates[:2]] == [{"first": 1}, {"first": 1, "second": {"ms": 2.5}}]
    assert [update["status"] for update in updates] == ["running", "running", "ok"]


def test_a_part_that_fails_keeps_its_results_and_says_why() -> None:
    *_, last = run_part(Part("failing", 1, failing), 20)
    assert last["status"] == "failed"
    assert last["results"] == {"before": 1}
    assert last["error"] == "RuntimeError: CUDA error: no such thing"


def test_a_part_that_hangs_is_stopped() -> None:
    start = time.monotonic()
    *_, last = run_part(Part("hanging", 1, hanging), 1.0)
    assert time.monotonic() - start < 20
    assert last["status"] == "timeout"
    assert last["results"] == {"before": 1}


def test_a_part_that_is_killed_has_failed() -> None:
    *_, last = run_part(Part("killed", 1, killed), 20)
    assert (last["status"], last["error"]) == ("failed", "the process ended with exit code -9")


def test_a_step_goes_through_all_parts_and_writes_their_results(tmp_path: Path) -> None:
    step = new_step(tmp_path, 20)
    results = step.run_parts([Part("failing", 1, failing), Part("hanging", 1, hanging), Part("good", 20, good)])
    assert results["good"] == {"first": 1, "second": {"ms": 2.5}}
    written = read_json(tmp_path / "result.json")
    assert {name: part["status"] for name, part in written["parts"].items()} == {
        "failing": "failed",
        "hanging": "timeout",
        "good": "ok",
    }
    assert written["status"] == "partial"
