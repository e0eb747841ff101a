"""Learns the most about training on a GPU from ten minutes of one GPU, on a machine without a network, in one call.

    python3 benchmarks/gpu_session.py --packed build/gpu --out OUT
    python3 benchmarks/gpu_session.py --dry-run --device cpu --out OUT

`benchmarks/pack_for_gpu.py` builds the folder that `--packed` names. Without it, the steps that need images are
skipped. Each step is a process with a time limit of its own, and one that fails or takes too long does not keep the
next from running. OUT/session.json is written after each step; benchmarks/performance_page.py makes a page of it. At
most 8 files of at most 16 MiB are written to OUT. A dry run executes every step at tiny size, to test this script.

This module, gpu/budget.py and gpu/results.py use the standard library only: packages may be missing until the first
step has installed those that travelled.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu.budget import share
from gpu.results import read_json, write_json

HERE = Path(__file__).resolve().parent
BUDGET = 570.0  # seconds, for a machine that stops a command after ten minutes
DRY_BUDGET = 3000.0  # a dry run takes two minutes, but may share its cores with other work
LOG_BYTES = 2**20  # kept of each step's output


@dataclass(frozen=True)
class Step:
    """A module of benchmarks/gpu with its time box in seconds.

    `least`: it is skipped if fewer seconds are left. `rest`: it takes all the time that is left beyond later boxes.
    """

    name: str
    box: float
    least: float = 5.0
    rest: bool = False
    needs_images: bool = False


STEPS = (
    Step("environment", 45),
    Step("ceilings", 25),
    Step("probes", 65),
    Step("product_tests", 60),
    Step("eager_step", 60),
    Step("cuda_graphs", 40),
    Step("compiled_step", 125),  # compiling alone may take minutes
    Step("large_images", 50),
    Step("real_run", 60, least=40, rest=True, needs_images=True),
    Step("scoring", 40, least=25, needs_images=True),
)


class Session:
    """Runs steps one after another and keeps OUT/session.json up to date."""

    def __init__(self, arguments: argparse.Namespace, work: Path) -> None:
        """`work`: a folder for the steps' own files, which stays on the machine."""
        self.arguments = arguments
        self.work = work
        self.out: Path = arguments.out.resolve()
        self.packed: Path | None = arguments.packed.resolve() if arguments.packed else None
        self.started = time.monotonic()
        self.content: dict[str, Any] = {
            "dry_run": arguments.dry_run,
            "device": arguments.device,
            "budget": arguments.budget,
            "packed": read_json(self.packed / "packed.json") if self.packed else None,
            "steps": {},
        }

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return float(self.arguments.budget - (time.monotonic() - self.started))

    def run(self, steps: Sequence[Step]) -> None:
        """Run all steps. Raises SystemExit if the device is not there, because nothing can then be measured."""
        self._write()
        for index, step in enumerate(steps):
            later = [other.box for other in steps[index + 1 :]]
            limit = max(0.0, self.left - sum(later)) if step.rest else share(self.left, step.box, later)
            reason = self._reason_to_skip(step, limit)
            if reason:
                self.content["steps"][step.name] = {"status": "skipped", "seconds": 0.0, "summary": reason}
            else:
                self.content["steps"][step.name] = self._run_step(step, limit)
            print(line(step.name, self.content["steps"][step.name]), flush=True)
            self._write()
            if step.name == "environment" and self.content["steps"][step.name].get("device_found") is False:
                sys.exit(f"torch finds no device of the kind {self.arguments.device} here; see {self.out}/session.log")

    def _reason_to_skip(self, step: Step, limit: float) -> str:
        if step.needs_images and self.packed is None:
            return "no packed images (--packed)"
        return f"only {max(0.0, limit):.0f} s are left" if limit < step.least else ""

    def _run_step(self, step: Step, limit: float) -> dict[str, Any]:
        """What a step recorded, with its status: ok, partial (some of its parts failed), failed or timeout."""
        print(f"{step.name}: at most {limit:.0f} s", flush=True)
        result, log, start = self.work / f"{step.name}.json", self.work / f"{step.name}.log", time.monotonic()
        command = [sys.executable, "-m", f"gpu.{step.name}", "--result", result, "--deadline", f"{start + limit:.1f}"]
        command += ["--work", self.work, "--out", self.out, "--device", self.arguments.device]
        command += ["--packed", self.packed] if self.packed else []
        command += ["--dry-run"] if self.arguments.dry_run else []
        code = run_limited([str(word) for word in command], limit, log, environment(self.work))
        recorded = read_json(result) if result.exists() else {}
        status = "timeout" if code is None else "failed" if code else recorded.get("status", "failed")
        with (self.out / "session.log").open("ab") as file:
            file.write(f"=== {step.name}: {status}\n".encode() + log.read_bytes()[-LOG_BYTES:])
        return {**recorded, "status": status, "limit": round(limit, 1), "seconds": round(time.monotonic() - start, 1)}

    def _write(self) -> None:
        self.content["seconds"] = round(time.monotonic() - self.started, 1)
        write_json(self.out / "session.json", self.content)
        write_json(self.work / "session.json", self.content)  # steps read earlier results here


def run_limited(command: Sequence[str], limit: float, log: Path, variables: Mapping[str, str]) -> int | None:
    """Run a command with its output in `log`; return its exit code, or None if it took more than `limit` seconds.

    It and all processes that it has started are then killed: one that holds the GPU would disturb the next step.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=dict(variables), process_group=0
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also what a finished step has left running
            process.wait()


def environment(work: Path) -> dict[str, str]:
    """Variables of a step: where it finds its modules, the product and the packages that travelled."""
    # torch-fidelity's wheel has a package `tests`, so the project's own folders come first.
    paths = [HERE, HERE.parent, work / "site", *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONUNBUFFERED": "1",
        # Looking for a GPU must not initialize CUDA: a process that has done so cannot fork those that measure.
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
    }


def line(name: str, result: Mapping[str, Any]) -> str:
    """A step's name, status, seconds and main number as a line of a table."""
    return f"{name:<14} {result['status']:<8} {result['seconds']:>6.1f} s  {result.get('summary', '')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=os.environ.get("OUT"), help="folder of the results (default: $OUT)")
    parser.add_argument("--packed", type=Path, help="the folder that benchmarks/pack_for_gpu.py has built")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--budget", type=float, help="seconds for all steps (default: 570)")
    parser.add_argument("--dry-run", action="store_true", help="every step at tiny size; nothing is measured")
    parser.add_argument("--only", nargs="+", choices=[step.name for step in STEPS], help="these steps, and environment")
    arguments = parser.parse_args()
    if arguments.out is None:
        parser.error("name a folder for the results with --out")
    if arguments.packed and not (arguments.packed / "packed.json").is_file():
        parser.error(f"{arguments.packed}: has no packed.json; build the folder with benchmarks/pack_for_gpu.py")
    arguments.budget = arguments.budget or (DRY_BUDGET if arguments.dry_run else BUDGET)
    arguments.out = Path(arguments.out)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "session.log").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpu-session-") as work:
        session = Session(arguments, Path(work))
        # Without the first step, packages that have travelled would be missing.
        session.run([step for step in STEPS if step.name in ("environment", *(arguments.only or [step.name]))])
    print(f"\n{session.content['seconds']:.0f} s of {arguments.budget:.0f}; results: {arguments.out}/session.json")
    print("\n".join(line(name, result) for name, result in session.content["steps"].items()))


if __name__ == "__main__":
    main()
