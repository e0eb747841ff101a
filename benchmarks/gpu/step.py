"""What the steps of a session share: arguments, results that are written as they come, and parts with time limits.

A part runs in a process of its own, because a kernel that takes minutes can be stopped in no other way and a failed one
can spoil all later work of its process. It is forked after the imports, which take seconds, and before CUDA is
initialized, which cannot be forked.
"""

import argparse
import multiprocessing
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gpu.budget import share
from gpu.results import read_json, write_json

Results = Iterator[tuple[str, Any]]  # named values in the order in which they were measured


@dataclass(frozen=True)
class Part:
    """A part of a step: a function whose results are JSON-compatible, its arguments and its time box in seconds."""

    name: str
    box: float
    function: Callable[..., Results]
    arguments: Sequence[Any] = ()


@dataclass
class Step:
    """One step while it runs. `deadline` is on the clock `time.monotonic`, which all processes share."""

    device: str
    dry_run: bool
    packed: Path | None
    work: Path
    out: Path
    deadline: float
    result: Path
    recorded: dict[str, Any] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds until the step is killed."""
        return self.deadline - time.monotonic()

    def record(self, **values: Any) -> None:
        """Add values to the step's results and write them."""
        self.recorded |= values
        write_json(self.result, self.recorded)

    def earlier(self, step: str) -> dict[str, Any]:
        """The results of an earlier step; empty if there are none."""
        found: dict[str, Any] = read_json(self.work / "session.json")["steps"].get(step, {})
        return found

    def run_parts(self, parts: Sequence[Part]) -> dict[str, dict[str, Any]]:
        """Run parts one after another and record the results of each, which are returned by name."""
        method = self.earlier("environment").get("start_method", "fork")
        results: dict[str, dict[str, Any]] = {}
        for index, part in enumerate(parts):
            # A tenth is kept back, so that the step itself ends before it is killed.
            limit = share(0.9 * self.left, part.box, [other.box for other in parts[index + 1 :]])
            for update in run_part(part, limit, method):
                results[part.name] = update
                self.record(parts=results)
        good = all(result["status"] == "ok" for result in results.values())
        self.record(status="ok" if good else "partial")
        return {name: result["results"] for name, result in results.items()}


def run_part(part: Part, limit: float, method: str = "fork") -> Iterator[dict[str, Any]]:
    """Run a part in a process of its own for at most `limit` seconds.

    Yields its status (running, ok, failed or timeout), seconds, results and error after each result and at the end.
    """
    start = time.monotonic()
    context = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_results, args=(sender, part.function, part.arguments))
    process.start()
    sender.close()
    state: dict[str, Any] = {"status": "running", "seconds": 0.0, "results": {}}

    def now(**values: Any) -> dict[str, Any]:
        nonlocal state
        state = {**state, **values, "seconds": round(time.monotonic() - start, 2)}
        return state

    try:
        while receiver.poll(max(0.0, limit - (time.monotonic() - start))):
            try:
                name, value = receiver.recv()
            except EOFError:  # the process has ended
                process.join()
                killed = process.exitcode not in (0, 1)
                ended = {"error": f"the process ended with exit code {process.exitcode}"} if killed else {}
                yield now(status="failed" if process.exitcode else "ok", **ended)
                return
            yield now(error=value) if name is None else now(results={**state["results"], name: value})
        yield now(status="timeout", error=f"stopped after {limit:.0f} s")
    finally:
        process.kill()
        process.join()


def _send_results(sender: Connection, function: Callable[..., Results], arguments: Sequence[Any]) -> None:
    """Send each result of a part as (name, value); of an exception (None, what it says)."""
    try:
        for result in function(*arguments):
            sender.send(result)
    except Exception as error:
        traceback.print_exc()
        sender.send((None, describe(error)))
        raise SystemExit(1) from None


def describe(error: BaseException) -> str:
    """An exception as one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def attempt(work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What `work` returns; if it raises an exception, that as {"error": text}. For what may not be supported."""
    try:
        return dict(work())
    except Exception as error:
        traceback.print_exc()
        return {"error": describe(error)}


def main(run: Callable[[Step], None]) -> None:
    """Run a step as gpu_session.py calls it. A step that returns without a status of its own is ok."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", required=True)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--packed", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--deadline", type=float, required=True)
    parser.add_argument("--result", type=Path, required=True)
    step = Step(**vars(parser.parse_args()))
    run(step)
    step.record(status=step.recorded.get("status", "ok"))
