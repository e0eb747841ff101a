"""Step: the product's own tests that need a GPU. Those that compile run beside the others, as nothing is timed here."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from gpu.step import Step, main

ROOT = Path(__file__).resolve().parents[2]
GROUPS = {"fast": "gpu and not slow", "slow": "gpu and slow"}
STOP_SECONDS = 8.0  # that pytest has to write its report after it is interrupted
# The installed pytest may be older than the project asks for, and lack its plugins' options.
OPTIONS = ("-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", "-o", "minversion=0", "-o", "addopts=")


def run(step: Step) -> None:
    """Run both groups of tests and record their counts and failures."""
    files = [str(path.relative_to(ROOT)) for path in files_with_gpu_tests(ROOT / "tests")]
    step.record(files=files)
    running = {}
    for group, marked in GROUPS.items():
        report = step.out / f"tests-{group}.xml"
        workers = "0" if step.dry_run else "4"
        command = [sys.executable, "-m", "pytest", *OPTIONS, "-m", marked, "-n", workers, "--timeout", "60"]
        running[group] = subprocess.Popen([*command, f"--junitxml={report}", *files], cwd=ROOT), report
    groups = {}
    for group, (process, report) in running.items():
        try:
            process.wait(max(1.0, step.left - STOP_SECONDS))
            stopped = False
        except subprocess.TimeoutExpired:
            stopped = True
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS / 2)
        groups[group] = {**counted(report), "exit_code": process.returncode, "stopped": stopped}
        step.record(groups=groups)
    totals = {name: sum(group.get(name, 0) for group in groups.values()) for name in ("tests", "failed", "skipped")}
    stopped = any(group["stopped"] for group in groups.values())
    broken = any(group["exit_code"] for group in groups.values())  # failures, or pytest could not start
    step.record(
        status="partial" if stopped or broken else "ok",
        summary=f"{totals['tests']} tests, {totals['failed']} failed, {totals['skipped']} skipped"
        + ("; stopped before the end" if stopped else ""),
    )


def files_with_gpu_tests(folder: Path) -> list[Path]:
    """The files with tests for a GPU. Others may import packages that are missing."""
    return sorted(path for path in folder.rglob("test_*.py") if "pytest.mark.gpu" in path.read_text())


def counted(report: Path) -> dict[str, Any]:
    """Numbers of tests, of failed (or broken) and of skipped ones, and a line for each failure; {} without a report."""
    if not report.exists():
        return {}
    cases = list(ElementTree.parse(report).iter("testcase"))
    failures = []
    for case in cases:
        for problem in (*case.findall("failure"), *case.findall("error")):
            reason = (problem.get("message") or "").strip().splitlines() or [""]
            failures.append(f"{case.get('classname')}::{case.get('name')}: {reason[0][:300]}")
    skipped = sum(case.find("skipped") is not None for case in cases)
    return {"tests": len(cases), "failed": len(failures), "skipped": skipped, "failures": failures}


if __name__ == "__main__":
    main(run)
